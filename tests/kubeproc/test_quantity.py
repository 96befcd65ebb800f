"""Quantities: read exactly, written as the API server writes them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeproc import quantity


@pytest.mark.parametrize(("given_", "canonical"), [
    ("0", "0"), ("0.5", "500m"), (0.5, "500m"), ("1000m", "1"), ("1500m", "1500m"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"),
    ("1000", "1k"), ("1000Ki", "1000Ki"), ("0.5Ki", "512"), ("1e3", "1e3"), ("12e6", "12e6"), ("100M", "100M"), ("1Ki", "1Ki"),
    ("-1", "-1"), ("1n", "1n"), ("0.1n", "1n"), (2, "2"), ("1E", "1E"), ("1Ei", "1Ei"), ("+3", "3"),
])  # fmt: skip
def test_the_canonical_form(given_: str | float, canonical: str) -> None:
    assert quantity.canonical(given_) == canonical


@pytest.mark.parametrize(
    "text", ["", "abc", "1 Gi", "1gi", "1KI", "--1", "1.2.3", "1e", "1ee3", "Gi", "1mm", True, None, "1e1000"]
)
def test_an_invalid_quantity_is_refused(text: object) -> None:
    with pytest.raises(quantity.QuantityError, match="quantities must match the regular expression"):
        quantity.parse(text)  # type: ignore[arg-type]


suffixes = st.sampled_from([*quantity.DECIMAL, *quantity.BINARY])


@given(st.integers(0, 10**6), suffixes)
def test_the_canonical_form_has_the_same_value_and_is_stable(number: int, suffix: str) -> None:
    text = f"{number}{suffix}"
    written = quantity.canonical(text)
    assert quantity.parse(written) == min(quantity.parse(text), Fraction(quantity.LIMIT))
    assert quantity.canonical(written) == written


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        value = quantity.parse(text)
    except quantity.QuantityError:
        return
    assert isinstance(value, Fraction)


@given(st.decimals(0, 1000, places=4))
def test_thousandths_are_rounded_up(number: object) -> None:
    millis = quantity.millis(str(number))
    assert 0 <= millis - Fraction(str(number)) * 1000 < 1
