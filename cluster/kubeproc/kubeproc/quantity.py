"""Resource quantities: `100m`, `1.5`, `1Gi`, `2e3`, as k8s.io/apimachinery/pkg/api/resource reads and writes them.

A quantity is an exact number; its suffix only says how it is written. The API server stores the canonical form: no
fraction, the largest suffix of the same family that leaves an integer (`1000m` is `1`, `1.5Gi` is `1536Mi`).
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_FORM = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?[0-9]{1,3}))?$")
WORDS = r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
LIMIT = 2**63 - 1  # the largest value; larger ones are capped, as upstream


class QuantityError(ValueError):
    """The text is not a quantity."""

    def __init__(self) -> None:
        super().__init__(WORDS)


def _split(value: str | int | float) -> tuple[Fraction, str, bool]:
    """The number, its suffix, and whether it was written with an exponent."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise QuantityError
    match = _FORM.match(value if isinstance(value, str) else repr(value))
    if not match:
        raise QuantityError
    number, suffix, exponent = Fraction(match[1]), match[2] or "", match[3]
    if exponent is not None:
        return number * Fraction(10) ** int(exponent), "", True
    scale = Fraction(1024) ** BINARY[suffix] if suffix in BINARY else Fraction(10) ** DECIMAL[suffix]
    return number * scale, suffix, False


def parse(value: str | int | float) -> Fraction:
    """The exact number; QuantityError if `value` is not a quantity."""
    return _split(value)[0]


def canonical(value: str | int | float) -> str:
    """The quantity as the API server writes it."""
    number, suffix, exponent = _split(value)
    number = max(min(number, Fraction(LIMIT)), Fraction(-LIMIT))
    if suffix in BINARY and abs(number) >= 1024:
        return _binary(_away(number))
    nano = _away(number * 10**9)
    if nano == 0:
        return "0"
    power = -9
    while nano % 1000 == 0 and power < 18:
        nano, power = nano // 1000, power + 3
    if exponent:
        return f"{nano}e{power}" if power else str(nano)
    return f"{nano}{next(s for s, p in DECIMAL.items() if p == power)}"


def _binary(number: int) -> str:
    power = 0
    while number % 1024 == 0 and power < 6:
        number, power = number // 1024, power + 1
    return f"{number}{next((s for s, p in BINARY.items() if p == power), '')}"


def _away(number: Fraction) -> int:
    """Rounded away from zero, as upstream rounds excess precision."""
    return math.ceil(number) if number >= 0 else math.floor(number)


def millis(value: str | int | float) -> int:
    """Thousandths, rounded up: CPU requests."""
    return math.ceil(parse(value) * 1000)


def whole(value: str | int | float) -> int:
    """Units, rounded up: bytes of memory, numbers of pods."""
    return math.ceil(parse(value))
