"""The expressions of `{{=...}}`, `expression` and `depends`: the common part of expr-lang, as Argo calls it.

Mechanism. A source is parsed once into nested tuples (`expression_parser`); evaluating walks them. Inside a predicate
(`filter(list, # > 1)`) `#` is the item and `.name` its member. Variables arrive under dotted names and are unfolded into
maps, where the longer name wins: `workflow.parameters.x` hides the list `workflow.parameters`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from labkit.embedded.argo.expression_parser import ExpressionError, Node, parse, waits_for

__all__ = ["Environment", "ExpressionError", "environment", "evaluate", "evaluate_bool", "unfold", "waits_for"]

Environment = dict[str, Any]


def unfold(variables: Mapping[str, Any]) -> Environment:
    """Dotted names as nested maps; of two names one of which begins the other, the longer one stays."""
    prefixes: set[str] = set()
    for name in variables:
        at = name.find(".")
        while at >= 0:
            prefixes.add(name[:at])
            at = name.find(".", at + 1)
    result: Environment = {}
    for name, value in variables.items():
        if name in prefixes:
            continue
        *path, last = name.split(".")
        here = result
        for part in path:
            here = here.setdefault(part, {})
        here[last] = value
    return result


def environment(variables: Mapping[str, Any]) -> Environment:
    """What an expression of Argo's can name: the variables, unfolded, and Argo's own functions."""
    from labkit.embedded.argo.sprig import ARGO  # here, because functions call back into this module

    return unfold(variables) | ARGO


def evaluate(source: str, names: Mapping[str, Any]) -> Any:
    """The value of the expression. ExpressionError for whatever is wrong with it."""
    try:
        return _eval(parse(source), names)
    except ExpressionError:
        raise
    except RecursionError:
        raise ExpressionError("the expression is nested too deeply") from None
    except (TypeError, ValueError, KeyError, IndexError, ArithmeticError, AttributeError, re.error) as error:
        raise ExpressionError(str(error) or type(error).__name__) from None


def evaluate_bool(source: str, names: Mapping[str, Any]) -> bool:
    """The value of a condition; ExpressionError where it is not a truth value."""
    result = evaluate(source, names)
    if not isinstance(result, bool):
        raise ExpressionError(f"unable to cast expression result '{result}' to bool")
    return result


def call(function: Any, *arguments: Any) -> Any:
    if not callable(function):
        raise ExpressionError("it is not a function that is called")
    return function(*arguments)


def _eval(node: Node, names: Mapping[str, Any]) -> Any:
    return _KINDS[node[0]](node, names)


def _name(node: Node, names: Mapping[str, Any]) -> Any:
    from labkit.embedded.argo.functions import BUILTINS

    name = node[1]
    if name in names:
        return names[name]
    if name == "$env":
        return names
    if name in BUILTINS:
        return BUILTINS[name]
    raise ExpressionError(f"unknown name {name}")


def _member(node: Node, names: Mapping[str, Any]) -> Any:
    owner, key = _eval(node[1], names), _eval(node[2], names)
    if owner is None:
        if node[3]:
            return None
        raise ExpressionError(f"cannot fetch {key} from <nil>")
    if isinstance(owner, Mapping):
        return owner.get(key)
    if isinstance(owner, (list, tuple, str)) and isinstance(key, int) and not isinstance(key, bool):
        if not -len(owner) <= key < len(owner):
            raise ExpressionError(f"index out of range: {key} (array length is {len(owner)})")
        return owner[key]
    raise ExpressionError(f"cannot fetch {key} from {type(owner).__name__}")


def _slice(node: Node, names: Mapping[str, Any]) -> Any:
    owner = _eval(node[1], names)
    if not isinstance(owner, (list, str)):
        raise ExpressionError(f"cannot slice {type(owner).__name__}")
    start, end = (None if part is None else _eval(part, names) for part in node[2:])
    return owner[start:end]


def _call(node: Node, names: Mapping[str, Any]) -> Any:
    function = _eval(node[1], names)
    arguments = [_closed(a, names) if a[0] == "closure" else _eval(a, names) for a in node[2]]
    return call(function, *arguments)


def _closed(node: Node, names: Mapping[str, Any]) -> Callable[..., Any]:
    """A predicate as a function of an item (and an index, and what has been gathered)."""

    def closure(item: Any, index: int = 0, gathered: Any = None) -> Any:
        return _eval(node[1], {**names, "#": item, "#index": index, "#acc": gathered})

    return closure


def _if(node: Node, names: Mapping[str, Any]) -> Any:
    condition = _eval(node[1], names)
    if not isinstance(condition, bool):
        raise ExpressionError(f"non-bool expression used as condition: {condition!r}")
    return _eval(node[2] if condition else node[3], names)


def _let(node: Node, names: Mapping[str, Any]) -> Any:
    return _eval(node[3], {**names, node[1]: _eval(node[2], names)})


def _unary(node: Node, names: Mapping[str, Any]) -> Any:
    value = _eval(node[2], names)
    if node[1] in ("not", "!"):
        if not isinstance(value, bool):
            raise ExpressionError(f"invalid operation: {node[1]} {value!r}")
        return not value
    if not _is_number(value):
        raise ExpressionError(f"invalid operation: {node[1]} {value!r}")
    return -value if node[1] == "-" else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def equal(a: Any, b: Any) -> bool:
    """Equality without Python's `True == 1`."""
    if isinstance(a, bool) is not isinstance(b, bool):
        return False
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def _binary(node: Node, names: Mapping[str, Any]) -> Any:
    _, word, left, right = node
    if word in ("and", "&&", "or", "||"):
        stop = word in ("or", "||")
        for side in (left, right):
            value = _eval(side, names)
            if not isinstance(value, bool):
                raise ExpressionError(f"invalid operation: {word} (mismatched types {type(value).__name__} and bool)")
            if value is stop:
                return stop
        return not stop
    if word == "??":
        try:
            value = _eval(left, names)
        except ExpressionError as error:
            if not str(error).startswith("cannot fetch"):
                raise
            value = None
        return _eval(right, names) if value is None else value
    return _operate(word, _eval(left, names), _eval(right, names))


def _operate(word: str, a: Any, b: Any) -> Any:
    if word in ("==", "!="):
        return equal(a, b) is (word == "==")
    if word == "in":
        if isinstance(b, Mapping):
            return a in b
        if isinstance(b, list):
            return any(equal(a, item) for item in b)
    elif isinstance(a, str) and isinstance(b, str) and word in _ON_STRINGS:
        return _ON_STRINGS[word](a, b)
    elif _is_number(a) and _is_number(b) and word in _ON_NUMBERS:
        return _ON_NUMBERS[word](a, b)
    raise ExpressionError(f"invalid operation: {word} (mismatched types {type(a).__name__} and {type(b).__name__})")


def _divide(a: float, b: float) -> float:
    return a / b if b else float("nan") if not a else float("inf") if a > 0 else float("-inf")


def _modulo(a: float, b: float) -> int:
    if isinstance(a, float) or isinstance(b, float) or not b:
        raise ExpressionError("integer divide by zero" if not b else "invalid operation: % on floats")
    rest = abs(a) % abs(b)
    return rest if a >= 0 else -rest


def _power(a: float, b: float) -> float:
    try:
        return float(a) ** float(b)
    except (OverflowError, ZeroDivisionError):
        return float("inf")


def _span(a: float, b: float) -> list[int]:
    if b - a > 1_000_000:
        raise ExpressionError("memory budget exceeded")
    return list(range(int(a), int(b) + 1))


_ON_NUMBERS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": _divide, "%": _modulo,
    "**": _power, "^": _power, "..": _span,
    "<": lambda a, b: a < b, ">": lambda a, b: a > b, "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b,
}  # fmt: skip
_ON_STRINGS: dict[str, Callable[[str, str], Any]] = {
    "+": lambda a, b: a + b, "<": lambda a, b: a < b, ">": lambda a, b: a > b, "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b, "contains": lambda a, b: b in a, "startsWith": str.startswith,
    "endsWith": str.endswith, "matches": lambda a, b: re.search(b, a) is not None,
}  # fmt: skip

_KINDS: dict[str, Callable[[Node, Mapping[str, Any]], Any]] = {
    "value": lambda node, names: node[1],
    "name": _name,
    "member": _member,
    "slice": _slice,
    "call": _call,
    "list": lambda node, names: [_eval(item, names) for item in node[1]],
    "map": lambda node, names: {_eval(k, names): _eval(v, names) for k, v in node[1]},
    "if": _if,
    "let": _let,
    "unary": _unary,
    "binary": _binary,
}
