"""The expressions of `{{=...}}`, `expression` and `depends`: expr-lang, as Argo calls it.

Variables have dotted names and are unfolded into maps, in which the longer name wins: `workflow.parameters.x` hides
the list `workflow.parameters`. The language itself is in `language`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from kubeproc import embedder
from kubeproc.argo.language import formats, jsonpaths, marshal, natures, sprig
from kubeproc.argo.language.builtins_numbers import to_float, to_int
from kubeproc.argo.language.checker import check
from kubeproc.argo.language.evaluator import Evaluator
from kubeproc.argo.language.expression_errors import ExpressionError, Panic
from kubeproc.argo.language.lexer import END, tokens
from kubeproc.argo.language.parser import ALL, Node, parse
from kubeproc.argo.language.quoting import shown
from kubeproc.argo.language.values import Function

__all__ = ["Environment", "ExpressionError", "NotSupported", "environment", "evaluate", "evaluate_bool", "refused", "text",
           "unfold", "waits_for"]  # fmt: skip

log = logging.getLogger(__name__)

Environment = dict[str, Any]


class NotSupported(Exception):
    """The expression calls a function of Argo's that is not supported here; this is always an error."""


def _refusing(name: str) -> Function:
    def refuse(*arguments: Any) -> Any:
        raise NotSupported(embedder.unsupported(f"sprig.{name}", sprig.REFUSED[name]))

    return Function(name, "...any", refuse)


ARGO: dict[str, Any] = {
    "asInt": Function("asInt", "any", to_int),
    "asFloat": Function("asFloat", "any", to_float),
    "jsonpath": Function("jsonpath", "string string", jsonpaths.query),
    "toJson": Function("toJson", "any", marshal.marshal, "string"),
    "sprig": sprig.FUNCTIONS | {name: _refusing(name) for name in sprig.REFUSED},
}


def unfold(variables: Mapping[str, Any]) -> Environment:
    """Dotted names as nested maps; if one name is a prefix of another, the longer one wins."""
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
    return unfold(variables) | ARGO


class _Names:
    """Names as a cache key for checked expressions: equal to others of the same types."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = names
        self.key = tuple(
            (name, type(value) if type(value) in _PLAIN else natures.of(value)) for name, value in names.items()
        )

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Names) and self.key == other.key


_PLAIN = (str, dict, bool, int, float, type(None))


@lru_cache(maxsize=2048)
def _checked(source: str, names: _Names) -> Node:
    """The tree of an expression, checked over these names."""
    hidden = frozenset(name for name in names.names if name in ALL)
    node = parse(source, hidden)
    check(node, source, names.names)
    names.names = {}  # the cache keeps the types only
    return node


def compute(source: str, names: Mapping[str, Any], wrap: Callable[[str], str] = str) -> Any:
    """The value of the expression, or ExpressionError; `wrap` formats an error that occurs during evaluation."""
    try:
        node = _checked(source, _Names(names))
    except RecursionError:
        raise ExpressionError("the expression is nested too deeply") from None
    try:
        found = Evaluator(source, names).value(node)
        return shown(found) if isinstance(found, str) else found
    except ExpressionError as error:
        raise ExpressionError(wrap(str(error))) from None
    except RecursionError:
        raise ExpressionError(wrap("the expression is nested too deeply")) from None


def evaluate(source: str, names: Mapping[str, Any], wrap: Callable[[str], str] = str) -> Any:
    """The value of the expression. ExpressionError for any failure: even a bug in this implementation becomes the
    expression's error, so that it can't stop the workflow controller."""
    try:
        return compute(source, names, wrap)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        log.exception("expression %.200s", source)
        raise ExpressionError(wrap(f"{type(error).__name__}: {error}")) from None


def evaluate_bool(source: str, names: Mapping[str, Any]) -> bool:
    """The value of a condition; ExpressionError if it is not a bool."""
    result = evaluate(source, names, lambda words: f"unable to evaluate expression '{source}': {words}")
    if not isinstance(result, bool):
        raise ExpressionError(f"unable to cast expression result '{formats.sprintf('%s', result)}' to bool")
    return result


def text(value: Any) -> str:
    """An expression's result as the text of a parameter; ExpressionError for a value that has none, such as a
    function."""
    try:
        made = value if isinstance(value, str) else marshal.marshal(value)
    except Panic as error:
        raise ExpressionError(str(error)) from None
    if not isinstance(value, str) and made.startswith('"'):
        return str(json.loads(made))
    return made


_MAY_COME_LATER = ("item", "retries", "lastRetry.exitCode", "lastRetry.status", "lastRetry.duration",
                   "lastRetry.message", "workflow.status", "workflow.failures")  # fmt: skip


def waits_for(source: str, variables: Mapping[str, Any]) -> bool:
    """Whether the expression uses a variable that a later pass supplies, so that it must remain unevaluated for now."""
    for name in _MAY_COME_LATER:
        if name not in source or (name in variables and not any(other.startswith(name + ".") for other in variables)):
            continue
        words = [(token.kind, token.value) for token in tokens(source)]
        parts = [(token.kind, token.value) for token in tokens(name) if token.kind != END]
        if any(words[i : i + len(parts)] == parts for i in range(len(words))):
            return True
    return False


def refused(source: str) -> str:
    """Why an expression is refused: it calls a function that is not supported. "" if it does not, or does not parse."""
    try:
        node = parse(source)
    except ExpressionError:
        return ""
    for part in _nodes(node):
        if part.kind == "member" and part.parts[0].kind == "name" and part.parts[0].value == "sprig":
            name = part.parts[1].value
            if isinstance(name, str) and name in sprig.REFUSED:
                return embedder.unsupported(f"sprig.{name}", sprig.REFUSED[name])
    return ""


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for part in node.parts:
        yield from _nodes(part)
