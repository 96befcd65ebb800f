"""Values as Go writes them: Argo's parameters are text from Go's marshaller, and programs compare them.

`encode` is encoding/json (no spaces, map keys sorted, `<>&` escaped, floats in their shortest form), `text` the form of
a scalar inside a string, `duration` the parser of `1h30m`, `1.5s` and bare seconds.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from kubeproc.argo.language.durations import parse_duration
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.quoting import HTML, LINES

ESCAPES = HTML | LINES


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
    try:
        return parse_duration(words) / 1e9
    except Panic as error:
        raise ValueError(f"unable to parse {words} as a duration: {error}") from None
