"""Go's durations, as whole nanoseconds: reading `1h30m`, printing, rounding."""

from __future__ import annotations

import re

from kubeproc.argo.language import digits
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.quoting import quote_bytes

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")


def parse_duration(text: str) -> int:
    """The nanoseconds of a duration such as `-1.5h` or `1m30s`; Panic with Go's message if it is invalid."""
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text[1:] if text[:1] == "+" else text)
    if rest == "0":
        return 0
    if not rest:
        raise Panic(f"time: invalid duration {quote_bytes(text)}")
    total = 0
    while rest:
        part = _PART.match(rest)
        whole, fraction, unit = part[1], part[2], part[3]  # type: ignore[index]
        if not whole and not fraction:
            raise Panic(f"time: invalid duration {quote_bytes(text)}")
        if not unit:
            raise Panic(f"time: missing unit in duration {quote_bytes(text)}")
        if unit not in _UNITS:
            raise Panic(f"time: unknown unit {quote_bytes(unit)} in duration {quote_bytes(text)}")
        total += digits.whole(whole or "0") * _UNITS[unit]
        if fraction:
            total += int(int(fraction[:30]) * (_UNITS[unit] / 10 ** len(fraction[:30])))
        if total > 2**63 - (sign > 0):
            raise Panic(f"time: invalid duration {quote_bytes(text)}")
        rest = rest[part.end() :]  # type: ignore[union-attr]
    return sign * total


def duration_text(nanoseconds: int) -> str:
    """As Go prints it: `1h30m0s`, `1.5s`, `2ms`, `0s`."""
    left = abs(nanoseconds)
    sign = "-" if nanoseconds < 0 else ""
    if left == 0:
        return "0s"
    if left < 10**9:
        unit, digits = ("ns", 0) if left < 10**3 else ("µs", 3) if left < 10**6 else ("ms", 6)
        return f"{sign}{_decimal(left, digits)}{unit}"
    minutes, seconds = divmod(left, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(seconds, 9)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else sign + text


def _decimal(value: int, digits: int) -> str:
    whole, rest = divmod(value, 10**digits)
    fraction = str(rest).zfill(digits).rstrip("0") if digits else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


def truncated(nanoseconds: int, step: int) -> int:
    """Toward zero, to a multiple of the step."""
    if step <= 0:
        return nanoseconds
    return abs(nanoseconds) // step * step * (-1 if nanoseconds < 0 else 1)


def rounded(nanoseconds: int, step: int) -> int:
    """To the nearest multiple of the step, halves away from zero."""
    if step <= 0:
        return nanoseconds
    left = abs(nanoseconds)
    rest = left % step
    return (left - rest + (step if rest * 2 >= step else 0)) * (-1 if nanoseconds < 0 else 1)
