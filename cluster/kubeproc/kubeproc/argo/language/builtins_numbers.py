"""The language's functions on numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from kubeproc.argo.language.digits import whole
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.operators import int64, less
from kubeproc.argo.language.values import Int, is_integer, is_number, kind, type_name, wrapped

_FLOAT = re.compile(
    r"[+-]?(?:(?:[0-9](?:_?[0-9])*)?(?:\.(?:[0-9](?:_?[0-9])*)?)?(?:[eE][+-]?[0-9]+)?|inf(?:inity)?|nan)$",
    re.IGNORECASE,
)
_HEX_FLOAT = re.compile(r"[+-]?0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?[0-9]+$")


def parse_int(source: str) -> int | None:
    """Go's strconv.Atoi; None if that fails."""
    if not re.fullmatch(r"[+-]?[0-9]+", source):
        return None
    number = whole(source)
    return number if -(2**63) <= number < 2**63 else None


def parse_float(source: str) -> float | None:
    """Go's strconv.ParseFloat; None if that fails, even for a number that is too large."""
    if _HEX_FLOAT.match(source):
        try:
            return float.fromhex(source)
        except (ValueError, OverflowError):
            return None
    if not _FLOAT.match(source) or not re.search(r"[0-9]|inf|nan", source, re.IGNORECASE):
        return None
    try:
        value = float(source.replace("_", ""))
    except ValueError:
        return None
    return None if math.isinf(value) and "inf" not in source.lower() else value


def to_int(value: Any) -> int:
    """`int(x)` and `asInt(x)`."""
    if isinstance(value, float):
        return int64(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return wrapped(int(value))
    if isinstance(value, str):
        number = parse_int(value)
        if number is None:
            raise Panic(f"invalid operation: int({value})")
        return number
    raise Panic(f"invalid operation: int({type_name(value)})")


def to_float(value: Any) -> float:
    """`float(x)` and `asFloat(x)`."""
    if is_number(value):
        return float(value)
    if isinstance(value, str):
        number = parse_float(value)
        if number is None:
            raise Panic(f"invalid operation: float({value})")
        return number
    raise Panic(f"invalid operation: float({type_name(value)})")


def _need(value: Any, name: str) -> None:
    if not is_number(value):
        raise Panic(f"invalid argument for {name} (type {type_name(value)})")


def absolute(value: Any) -> Any:
    _need(value, "abs")
    if isinstance(value, Int):
        return Int(abs(value), value.go_type)
    if isinstance(value, float):
        return -value if value < 0 else value
    return wrapped(abs(value))


def _rounding(name: str, of: Callable[[float], float]) -> Callable[[Any], float]:
    def compute(value: Any) -> float:
        _need(value, name)
        number = float(value)
        return number if number - number != 0 else math.copysign(of(number), number)

    return compute


ceil = _rounding("ceil", math.ceil)
floor = _rounding("floor", lambda x: math.floor(x))


def _nearest(x: float) -> float:
    whole = math.trunc(x)
    return whole + math.copysign(1, x) if abs(x - whole) >= 0.5 else whole


round_half = _rounding("round", _nearest)


def extreme(name: str) -> Callable[..., Any]:
    """`max` and `min`: of numbers, and of lists of them at any depth."""
    better = (lambda a, b: less(a, b)) if name == "max" else (lambda a, b: less(b, a))

    def compute(*values: Any) -> Any:
        best: Any = None
        for value in values:
            if isinstance(value, list):
                for item in value:
                    found = compute(item)
                    if not is_number(found):
                        raise Panic(f"invalid argument for {name} (type {type_name(found)})")
                    best = found if best is None or better(best, found) else best
            elif is_number(value) or kind(value) in ("int64", "int"):
                best = value if best is None or better(best, value) else best
            elif len(values) == 1:
                return value
            else:
                raise Panic(f"invalid argument for {name} (type {type_name(value)})")
        return best

    return compute


def _flat(name: str, values: Any) -> list[float]:
    found: list[float] = []
    for value in values:
        if isinstance(value, list):
            found += _flat(name, value)
        elif is_number(value) or kind(value) in ("int64", "int"):
            found.append(float(value))
        else:
            raise Panic(f"invalid argument for {name} (type {type_name(value)})")
    return found


def mean(*values: Any) -> float:
    found = _flat("mean", values)
    return math.fsum(found) / len(found) if found else 0.0


def median(*values: Any) -> float:
    found = sorted(_flat("median", values))
    if not found:
        return 0.0
    middle = len(found) // 2
    return found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2


def _bit(name: str, value: Any) -> int:
    if not is_integer(value):
        raise Panic(f"cannot use {type_name(value)} as argument (type int) to call {name}")
    return int(value)


_SHIFTS: dict[str, Callable[[int, int], int]] = {
    "bitshl": lambda a, b: a << b if b < 64 else 0,
    "bitshr": lambda a, b: a >> b,
    "bitushr": lambda a, b: (a & (2**64 - 1)) >> b,
}
_BITS: dict[str, Callable[[int, int], int]] = {
    "bitand": lambda a, b: a & b,
    "bitor": lambda a, b: a | b,
    "bitxor": lambda a, b: a ^ b,
    "bitnand": lambda a, b: a & ~b,
}


def bits(name: str) -> Callable[[Any, Any], int]:
    def compute(*values: Any) -> int:
        if len(values) != 2:
            raise Panic(f"invalid number of arguments for {name} (expected 2, got {len(values)})")
        a, b = (_bit(name, value) for value in values)
        if name in _BITS:
            return _BITS[name](a, b)
        if b < 0:
            raise Panic(f"invalid operation: negative shift count {b} (type int)")
        return wrapped(_SHIFTS[name](a, b))

    return compute


def bit_not(value: Any) -> int:
    return ~_bit("bitnot", value)
