"""Values as Go writes them: Argo's parameters are text from Go's marshaller, and programs compare them.

`encode` is encoding/json (no spaces, map keys sorted, `<>&` escaped, floats in their shortest form), `text` the form of
a scalar inside a string, `duration` the parser of `1h30m`, `1.5s` and bare seconds.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from kubeproc.argo.language.quoting import HTML, LINES

ESCAPES = HTML | LINES
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")


def number(value: int | float) -> str:
    """A number in its shortest exact form: `3` for 3.0, no exponent below 1e21."""
    if isinstance(value, int):
        return str(value)
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    if 1e-6 <= abs(value) < 1e21:
        return format(Decimal(repr(value)), "f")
    mantissa, exponent = f"{Decimal(repr(value)):e}".split("e")
    return f"{mantissa}e{exponent[0] if exponent[0] in '+-' else '+'}{exponent.lstrip('+-').zfill(2)}"


def encode(value: Any, *, ordered: bool = False) -> str:
    """JSON as Go's json.Marshal makes it; `ordered` keeps the keys' order, as for a struct."""
    return escaped(_encode(value, ordered))


def escaped(source: str) -> str:
    """A JSON text with Go's escapes for HTML's special characters and JavaScript's line ends."""
    for char, escape in ESCAPES.items():
        source = source.replace(char, escape)
    return source


def _encode(value: Any, ordered: bool) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, dict):
        keys = list(value) if ordered else sorted(value, key=str)
        return "{" + ",".join(f"{_encode(str(k), ordered)}:{_encode(value[k], ordered)}" for k in keys) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_encode(v, ordered) for v in value) + "]"
    return json.dumps(str(value), ensure_ascii=False)


def text(value: Any) -> str:
    """A scalar as text in a parameter; lists and maps as JSON."""
    return value if isinstance(value, str) else _encode(value, False)


def duration(value: str | int) -> float:
    """Seconds of a Go duration; a bare number is seconds. ValueError with Go's message otherwise."""
    words = str(value)
    if re.fullmatch(r"[+-]?\d+", words):
        return float(words)
    sign, rest = (-1.0, words[1:]) if words.startswith("-") else (1.0, words.removeprefix("+"))
    total, position = 0.0, 0
    while position < len(rest):
        part = _PART.match(rest, position)
        if not part:
            break
        total += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    if not rest or position < len(rest):
        raise ValueError(f'unable to parse {words} as a duration: time: invalid duration "{words}"')
    return sign * total


def moment(value: str | None) -> float | None:
    """Seconds since the epoch of an RFC 3339 time, None of none."""
    if not value:
        return None
    return datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
