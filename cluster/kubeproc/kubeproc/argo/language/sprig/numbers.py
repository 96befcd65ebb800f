"""sprig's functions on numbers."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from kubeproc.argo.language import digits
from kubeproc.argo.language.builtins_numbers import parse_int
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.formats import text
from kubeproc.argo.language.operators import MOST, divide, power, remainder
from kubeproc.argo.language.sprig.casts import int64_of, real, whole
from kubeproc.argo.language.values import Int, Slice

_EXACT = Context(prec=1500)
_ROUNDED = Context(prec=1500, rounding=ROUND_HALF_UP)  # a quotient has sixteen decimal places


def _int64(value: int) -> Int:
    return Int(value, "int64")


def _total(*values: Any) -> Int:
    return _int64(sum(map(whole, values)))


def _product(*values: Any) -> Int:
    return _int64(math.prod(map(whole, values)))


def _divided(a: Any, b: Any) -> Int:
    first, second = whole(a), whole(b)
    if second == 0:
        raise Panic("runtime error: integer divide by zero")
    quotient = abs(first) // abs(second)
    return _int64(quotient if (first < 0) is (second < 0) else -quotient)


def _decimal(value: Any) -> Decimal:
    number = real(value)
    if number - number != 0:
        raise Panic(f"Cannot create a Decimal from {text(number)}")
    return Decimal(repr(number))


def _exact(compute: Callable[[Decimal, Decimal], Decimal]) -> Callable[..., float]:
    """Floats are computed as decimals, so that 0.1 + 0.2 is 0.3."""

    def operate(first: Any, *others: Any) -> float:
        result = _decimal(first)
        for other in others:
            result = compute(result, _decimal(other))
        return float(result) + 0.0  # a decimal has no negative zero

    return operate


def _quotient(a: Decimal, b: Decimal) -> Decimal:
    if b == 0:
        raise Panic("decimal division by 0")
    return _ROUNDED.quantize(_EXACT.divide(a, b), Decimal("1e-16"))


_add, _sub = _exact(_EXACT.add), _exact(_EXACT.subtract)
_mul, _div = _exact(_EXACT.multiply), _exact(_quotient)


def _cut(of: Callable[[float], float]) -> Callable[[Any], float]:
    def compute(value: Any) -> float:
        number = real(value)
        return number if number - number != 0 else math.copysign(of(number), number)

    return compute


def _round(value: Any, places: int, *on: float) -> float:
    factor = power(10.0, float(places))
    digits = factor * real(value)
    if digits - digits != 0:
        return divide(digits, factor)
    part = math.modf(digits)[0]
    made = math.ceil(digits) if part >= (on[0] if on else 0.5) else math.floor(digits)
    return divide(float(made), factor)


def _until_step(start: int, stop: int, step: int) -> Slice:
    if (stop < start and step >= 0) or (stop >= start and step <= 0):
        return Slice((), "int")
    numbers = range(start, stop, step)
    if len(numbers) >= MOST:
        raise Panic("memory budget exceeded")
    return Slice(numbers, "int")


def _until(count: int) -> Slice:
    return _until_step(0, count, -1 if count < 0 else 1)


def _seq(*given: int) -> str:
    if not 1 <= len(given) <= 3:
        return ""
    start = given[0] if len(given) > 1 else 1
    end, step = given[-1], 1
    increment = -1 if end < start else 1
    if len(given) == 3:
        step = given[1]
        if end < start and step > 0:
            return ""
    else:
        step = increment
    return " ".join(map(str, _until_step(start, end + increment, step)))


def _octal(value: Any) -> Int:
    source = text(value)
    good = re.fullmatch(r"[+-]?0*[0-7]{1,22}", source)  # no more digits than an int64 has
    number = int(source, 8) if good else 0
    return _int64(number if -(2**63) <= number < 2**63 else 0)


def _atoi(source: str) -> int:
    """A number that is too large becomes the largest one, other text becomes 0."""
    number = parse_int(source)
    if number is None and re.fullmatch(r"[+-]?[0-9]+", source):
        return min(max(digits.whole(source), -(2**63)), 2**63 - 1)
    return number or 0


def _random(low: int, high: int) -> int:
    if high <= low:
        raise Panic("invalid argument to Intn")
    return low + secrets.randbelow(high - low)


def _best(of: Callable[..., Any], cast: Callable[[Any], Any]) -> Callable[..., Any]:
    def compute(*values: Any) -> Any:
        numbers = [cast(value) for value in values]
        return math.nan if any(n != n for n in numbers) else of(numbers)

    return compute


NUMBERS: dict[str, tuple[str, Any]] = {
    "add": ("...any", _total),
    "add1": ("any", lambda value: _int64(whole(value) + 1)),
    "sub": ("any any", lambda a, b: _int64(whole(a) - whole(b))),
    "mul": ("any ...any", _product),
    "div": ("any any", _divided),
    "mod": ("any any", lambda a, b: _int64(remainder(whole(a), whole(b)))),
    "add1f": ("any", lambda value: _add(value, 1)),
    "addf": ("...any", lambda *values: _add(0.0, *values)),
    "subf": ("any ...any", _sub),
    "mulf": ("any ...any", _mul),
    "divf": ("any ...any", _div),
    "max": ("any ...any", _best(max, int64_of)),
    "biggest": ("any ...any", _best(max, int64_of)),
    "min": ("any ...any", _best(min, int64_of)),
    "maxf": ("any ...any", _best(max, real)),
    "minf": ("any ...any", _best(min, real)),
    "floor": ("any", _cut(math.floor)),
    "ceil": ("any", _cut(math.ceil)),
    "round": ("any int ...float", _round),
    "int": ("any", whole),
    "int64": ("any", int64_of),
    "float64": ("any", real),
    "atoi": ("string", _atoi),
    "toDecimal": ("any", _octal),
    "until": ("int", _until),
    "untilStep": ("int int int", _until_step),
    "seq": ("...int", _seq),
    "randInt": ("int int", _random),
}
