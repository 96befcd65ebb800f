"""The operators: their operand types and results."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from kubeproc.argo.language import patterns
from kubeproc.argo.language.clock import Time
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.quoting import decoded, encoded
from kubeproc.argo.language.times import Duration
from kubeproc.argo.language.values import (
    Int,
    Slice,
    deep_equal,
    equal,
    is_integer,
    is_nil,
    is_number,
    type_name,
    wrapped,
)  # fmt: skip

MOST = 1_000_000  # limit of an expression's results: members of lists


def _is_duration(value: Any) -> bool:
    return isinstance(value, Int) and value.go_type == "time.Duration"


def operand_type(value: Any) -> str:
    """An operand's type; a pointer is followed."""
    return type_name(value).removeprefix("*")


def _mismatch(word: str, a: Any, b: Any) -> Panic:
    return Panic(f"invalid operation: {operand_type(a)} {word} {operand_type(b)}")


def less(a: Any, b: Any, word: str = "<") -> bool:
    """`a < b`, with the calling operator in the message."""
    if is_number(a) and is_number(b):
        return bool(a < b)
    if isinstance(a, str) and isinstance(b, str):
        return encoded(a) < encoded(b)
    if isinstance(a, Time) and isinstance(b, Time):
        return a.instant < b.instant
    if _is_duration(a) and _is_duration(b):
        return bool(a < b)
    raise _mismatch(word, a, b)


def _ordered(word: str) -> Callable[[Any, Any], bool]:
    def compare(a: Any, b: Any) -> bool:
        if isinstance(a, float) and isinstance(b, (int, float)) and (a != a or b != b):
            return False
        first, second = less(a, b, word), less(b, a, word)
        return {"<": first, ">": second, "<=": not second, ">=": not first}[word]

    return compare


def _add(a: Any, b: Any) -> Any:
    if is_number(a) and is_number(b):
        return float(a) + float(b) if isinstance(a, float) or isinstance(b, float) else wrapped(int(a) + int(b))
    if isinstance(a, str) and isinstance(b, str):
        return decoded(encoded(a) + encoded(b)) if _cut(a) or _cut(b) else a + b
    if _is_duration(a) and _is_duration(b):
        return Duration(int(a) + int(b))
    if isinstance(a, Time) and _is_duration(b):
        return a.add(b)
    if _is_duration(a) and isinstance(b, Time):
        return b.add(a)
    raise _mismatch("+", a, b)


def _cut(text: str) -> bool:
    return any("\udc80" <= char <= "\udcff" for char in text)


def _subtract(a: Any, b: Any) -> Any:
    if is_number(a) and is_number(b):
        return float(a) - float(b) if isinstance(a, float) or isinstance(b, float) else wrapped(int(a) - int(b))
    if isinstance(a, Time) and isinstance(b, Time):
        return Duration(a.instant - b.instant)
    if isinstance(a, Time) and _is_duration(b):
        return a.add(-b)
    if _is_duration(a) and _is_duration(b):
        return Duration(int(a) - int(b))
    raise _mismatch("-", a, b)


def _multiply(a: Any, b: Any) -> Any:
    if all(is_number(x) or _is_duration(x) for x in (a, b)):
        if isinstance(a, float) or isinstance(b, float):
            return float(a) * float(b)
        return Duration(int(a) * int(b)) if _is_duration(a) or _is_duration(b) else wrapped(int(a) * int(b))
    raise _mismatch("*", a, b)


def divide(a: float, b: float) -> float:
    """Division of floats, by zero too."""
    if b:
        return a / b
    if not a or a != a:
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1, b)


def _divide(a: Any, b: Any) -> float:
    if is_number(a) and is_number(b):
        return divide(float(a), float(b))
    raise _mismatch("/", a, b)


def remainder(a: int, b: int) -> int:
    """The remainder of a division that truncates toward zero."""
    if b == 0:
        raise Panic("runtime error: integer divide by zero")
    rest = abs(a) % abs(b)
    return -rest if a < 0 else rest


def _modulo(a: Any, b: Any) -> int:
    if is_integer(a) and is_integer(b):
        return remainder(int(a), int(b))
    raise _mismatch("%", a, b)


def as_float(value: Any) -> float:
    if not is_number(value):
        raise Panic(f"invalid operation: float({type_name(value)})")
    return float(value)


def as_int(value: Any) -> int:
    if not is_number(value):
        raise Panic(f"invalid operation: int({type_name(value)})")
    return int64(value)


def int64(value: float) -> int:
    """A number truncated to an integer; out of range it is the smallest one, as on common processors."""
    if isinstance(value, float) and not -(2.0**63) <= value < 2.0**63:
        return -(2**63)
    return wrapped(int(value))


def power(x: float, y: float) -> float:
    """Go's math.Pow, which multiplies squares: its last digit can differ from C's."""
    special = _special_power(x, y)
    if special is not None:
        return special
    fraction, whole = math.modf(abs(y))
    if fraction and x < 0:
        return math.nan
    if whole >= 2.0**63:
        return 1.0 if x == -1 else 0.0 if (abs(x) < 1) is (y > 0) else math.inf
    made, exponent = 1.0, 0
    if fraction:
        if fraction > 0.5:
            fraction, whole = fraction - 1, whole + 1
        made = math.exp(fraction * math.log(x))
    base, base_exponent = math.frexp(x)
    left = int(whole)
    while left:
        if abs(base_exponent) > 4096:
            exponent += base_exponent
            break
        if left & 1:
            made, exponent = made * base, exponent + base_exponent
        base, base_exponent, left = base * base, base_exponent << 1, left >> 1
        if base < 0.5:
            base, base_exponent = base + base, base_exponent - 1
    if y < 0:
        made, exponent = 1 / made, -exponent
    try:
        return math.ldexp(made, exponent)
    except OverflowError:
        return math.copysign(math.inf, made)


def _special_power(x: float, y: float) -> float | None:
    if y in (0, 1) or x == 1:
        return x if y == 1 else 1.0
    if x != x or y != y:
        return math.nan
    if x == 0 or math.isinf(x) or math.isinf(y):
        odd = not math.isinf(y) and float(y).is_integer() and int(y) % 2 == 1
        if math.isinf(y):
            return 1.0 if x == -1 else 0.0 if (abs(x) < 1) is (y > 0) else math.inf
        size = 0.0 if (x == 0) is (y > 0) else math.inf
        return math.copysign(size, x) if odd else size
    if y == 0.5:
        return math.sqrt(x) if x >= 0 else math.nan
    if y == -0.5:
        return 1 / math.sqrt(x) if x > 0 else math.nan
    return None


def _span(a: Any, b: Any) -> Slice:
    start, end = as_int(a), as_int(b)
    if end - start + 1 >= MOST:
        raise Panic("memory budget exceeded")
    return Slice(range(start, end + 1), "int")


def within(needle: Any, where: Any) -> bool:
    """The language's `in`."""
    if where is None:
        return False
    if isinstance(where, list):
        return any(equal(item, needle) for item in where)
    if isinstance(where, Mapping):
        if needle is None:
            return "" in where
        if not isinstance(needle, str) and not str(getattr(where, "go_type", "")).startswith("map[interface"):
            raise Panic(f"reflect.Value.MapIndex: value of type {type_name(needle)} is not assignable to type string")
        return any(deep_equal(key, needle) for key in where)
    if isinstance(where, Time):
        if not isinstance(needle, str):
            raise Panic(f"cannot use {type_name(needle)} as field name of {type_name(where)}")
        return False
    raise Panic(f'operator "in" not defined on {type_name(where)}')


def _on_texts(test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    def operate(a: Any, b: Any) -> bool:
        if is_nil(a) or is_nil(b):
            return False
        for side in (b, a):
            if not isinstance(side, str):
                raise Panic(f"interface conversion: interface {{}} is {type_name(side)}, not string")
        return test(a, b)

    return operate


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": equal, "!=": lambda a, b: not equal(a, b), "in": within,
    "<": _ordered("<"), ">": _ordered(">"), "<=": _ordered("<="), ">=": _ordered(">="),
    "+": _add, "-": _subtract, "*": _multiply, "/": _divide, "%": _modulo, "..": _span,
    "**": lambda a, b: power(as_float(a), as_float(b)), "^": lambda a, b: power(as_float(a), as_float(b)),
    "contains": _on_texts(lambda a, b: b in a),
    "startsWith": _on_texts(str.startswith),
    "endsWith": _on_texts(str.endswith),
    "matches": _on_texts(lambda a, b: patterns.compiled(b).search(a) is not None),
}  # fmt: skip


def negate(value: Any) -> Any:
    if isinstance(value, float):
        return -value
    if is_integer(value):
        return Int(-value, value.go_type) if isinstance(value, Int) else wrapped(-value)
    raise Panic(f"invalid operation: - {type_name(value)}")
