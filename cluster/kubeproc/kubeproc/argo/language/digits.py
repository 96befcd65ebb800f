"""Decimal digits from untrusted input. Python refuses to parse thousands of them, and no Go number is that large."""

from __future__ import annotations

HUGE = 10**30  # outside the range of all of Go's integers


def whole(text: str) -> int:
    """The integer of a sign and digits; HUGE, with its sign, if it is out of range."""
    digits = text.lstrip("+-").lstrip("0")
    size = HUGE if len(digits) > 30 else int(digits or "0")
    return -size if text.startswith("-") else size
