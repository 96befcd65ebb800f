"""How far a share that was measured on a few examples can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

CERTAIN = 1.96  # standard deviations on either side: 95 %
BEYOND = 10  # a percentile is reported where at least so many measurements lie beyond it
PERCENTILES = (50, 90, 95, 99, 99.9)


def interval(share: float, examples: int) -> tuple[float, float]:
    """The 95 % interval of a share of so many examples (Wilson's score, which holds near 0 and 1 as well)."""
    z = CERTAIN
    middle = share + z * z / (2 * examples)
    half = z * sqrt(share * (1 - share) / examples + z * z / (4 * examples**2))
    scale = 1 + z * z / examples
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def tail(measured: Sequence[float]) -> tuple[float, float]:
    """(percentile, value): the highest of the usual percentiles that enough measurements lie beyond.

    Of nine requests the "99th percentile" would be the slowest one, and say nothing about the next hundred.
    """
    known = [p for p in PERCENTILES if round(len(measured) * (100 - p) / 100, 6) >= BEYOND]
    percentile = max(known, default=PERCENTILES[0])
    return percentile, float(np.percentile(measured, percentile))
