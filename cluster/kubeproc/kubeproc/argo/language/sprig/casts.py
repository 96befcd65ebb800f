"""sprig's lenient conversions: anything but a number is 0."""

from __future__ import annotations

import re
from typing import Any

from kubeproc.argo.language.builtins_numbers import parse_float
from kubeproc.argo.language.formats import text
from kubeproc.argo.language.operators import int64
from kubeproc.argo.language.values import Int, Slice

_DECIMAL = re.compile(r"([-+]?[0-9]*)(\.[0-9]*)?$")
_WHOLE = re.compile(r"[+-]?(0[xX](_?[0-9a-fA-F])+|0[bB](_?[01])+|0[oO](_?[0-7])+|0(_?[0-7])*|[1-9](_?[0-9])*)$")


def whole(value: Any) -> int:
    """An integer from any value."""
    if isinstance(value, (bool, int)):
        return int(value)
    if isinstance(value, float):
        return int64(value)
    return _parsed(value) if isinstance(value, str) else 0


def _parsed(source: str) -> int:
    if "." in source and (found := _DECIMAL.match(source)):
        source = found[1] + "0" if found[1] in ("-", "+") else found[1] or "0"
    if not _WHOLE.match(source):
        return 0
    digits = source.replace("_", "").lower()
    octal = re.fullmatch(r"[+-]?0[0-7]+", digits)
    try:
        value = int(digits, 8) if octal else int(digits, 0)
    except ValueError:  # more digits than Python parses
        return 0
    return value if -(2**63) <= value < 2**63 else 0


def real(value: Any) -> float:
    """A float from any value."""
    if isinstance(value, (bool, int, float)):
        return float(value)
    return (parse_float(value) or 0.0) if isinstance(value, str) else 0.0


def int64_of(value: Any) -> Int:
    return Int(whole(value), "int64")


def texts(value: Any) -> Slice:
    """The members of a list as texts, without those that are nil; any other value becomes the only member."""
    if isinstance(value, Slice) and value.element == "string":
        return value
    if isinstance(value, list):
        return Slice([text(item) for item in value if item is not None], "string")
    return Slice([] if value is None else [text(value)], "string")


def empty(value: Any) -> bool:
    """Whether it is nil, false, 0, or has no members."""
    if value is None or value is False or (isinstance(value, (int, float)) and value == 0):
        return True
    return isinstance(value, (str, list, dict)) and len(value) == 0
