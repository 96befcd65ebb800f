"""Intervals of measured shares, and the percentiles that so many measurements allow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.course.pipeline.uncertainty import BEYOND, interval, tail


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_an_interval_holds_its_share_and_stays_between_0_and_1(examples: int, share: float) -> None:
    low, high = interval(share, examples)
    assert 0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1


@pytest.mark.parametrize("true", [0.05, 0.5, 0.85])
def test_an_interval_holds_the_true_share_about_95_times_of_100(true: float) -> None:
    counts = np.random.default_rng(0).binomial(180, true, 4000)
    held = [low <= true <= high for low, high in (interval(count / 180, 180) for count in counts)]
    assert 0.92 < np.mean(held) < 0.98


@pytest.mark.parametrize(
    ("requests", "percentile"), [(9, 50), (100, 90), (199, 90), (200, 95), (999, 95), (1000, 99), (10_000, 99.9)]
)
def test_a_percentile_is_reported_where_enough_requests_lie_beyond_it(requests: int, percentile: float) -> None:
    measured = list(np.random.default_rng(1).permutation(requests) / requests)
    found, value = tail(measured)
    assert found == percentile
    assert requests < 20 or sum(each > value for each in measured) >= BEYOND - 1
