"""Kubernetes' quantities (`100m`, `1Gi`, `2e3`) as exact numbers."""

from __future__ import annotations

import math
from fractions import Fraction

SUFFIXES: dict[str, Fraction] = {
    **{s: Fraction(1000) ** n for n, s in enumerate(["", "k", "M", "G", "T", "P", "E"])},
    **{s: Fraction(1024) ** n for n, s in enumerate(["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"])},
    "m": Fraction(1, 1000),
    "u": Fraction(1, 10**6),
    "n": Fraction(1, 10**9),
}


def parse(text: object) -> Fraction:
    """The exact value; ValueError where it is no quantity."""
    text = str(text).strip()
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if suffix and text.endswith(suffix):
            return Fraction(text[: -len(suffix)]) * SUFFIXES[suffix]
    return Fraction(text)


def whole(text: object) -> int:
    """The value rounded up to a whole number (bytes, cores)."""
    return math.ceil(parse(text))
