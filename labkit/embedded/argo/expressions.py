"""The expressions of `{{=...}}`, `expression` and `depends`: the common part of expr-lang, as Argo calls it.

Mechanism. A source is cut into tokens and parsed by operator precedence (upstream's table, which no fixed grammar
reproduces: `not` binds looser than `*`, `??` tighter than everything), once, into nested tuples; evaluating walks them.
Inside a predicate (`filter(list, # > 1)`) `#` is the item and `.name` its member. Variables arrive under dotted names
and are unfolded into maps, where the longer name wins: `workflow.parameters.x` hides the list `workflow.parameters`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

Environment = dict[str, Any]
Node = tuple[Any, ...]


class ExpressionError(Exception):
    """The expression does not parse, names what is not there, or mixes types that do not mix."""


# -- tokens --------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:(?P<comment>//[^\n]*|/\*.*?\*/)
      |(?P<number>0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*)?\.\d[\d_]*(?:[eE][+-]?\d+)?|\d[\d_]*(?:[eE][+-]?\d+)?(?!\.\d))
      |(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
      |(?P<name>[^\W\d][\w$]*|\$[\w$]*)
      |(?P<op>\.\.|\?\.|\?\?|\|\||&&|==|!=|<=|>=|\*\*|::|[-+*/%^<>!?:.,;|#(){}\[\]=]))""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[0-7]{3}|.)", re.DOTALL)

Token = tuple[str, Any]


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        return chr(int(code[1:], 16) if code[0] in "uUx" else int(code, 8))
    if code in _ESCAPES or code in "\\'\"`":
        return _ESCAPES.get(code, code)
    raise ExpressionError(f"invalid char escape \\{code}")


def _number(text: str) -> int | float:
    text = text.replace("_", "")
    if text[:2].lower() in ("0x", "0b", "0o"):
        return int(text, 0)
    return float(text) if any(c in text for c in ".eE") else int(text)


@lru_cache(maxsize=2048)
def tokens(source: str) -> tuple[Token, ...]:
    found: list[Token] = []
    position = 0
    while source[position:].strip():
        match = _TOKEN.match(source, position)
        if not match:
            at = len(source) - len(source[position:].lstrip())
            raise ExpressionError(f"unrecognized character: {source[at]!r} (1:{at + 1})")
        position, kind = match.end(), str(match.lastgroup)
        if kind == "number":
            found.append((kind, _number(match["number"])))
        elif kind == "string":
            body = match["string"]
            found.append((kind, body[1:-1] if body[0] == "`" else _ESCAPE.sub(_unescape, body[1:-1])))
        elif kind != "comment":
            found.append((kind, match[kind]))
    return (*found, ("end", ""))


_MAY_COME_LATER = ("item", "retries", "lastRetry.exitCode", "lastRetry.status", "lastRetry.duration",
                   "lastRetry.message", "workflow.status", "workflow.failures")  # fmt: skip


def waits_for(source: str, variables: Mapping[str, Any]) -> bool:
    """Whether the expression names a variable that a later pass supplies, so that it must stay as it is for now."""
    for name in _MAY_COME_LATER:
        if name in variables or name not in source:
            continue
        words, parts = tokens(source), tokens(name)[:-1]
        if any(words[i : i + len(parts)] == parts for i in range(len(words))):
            return True
    return False


# -- parsing -------------------------------------------------------------------------------------------------------

_BINARY = {
    "or": 10, "||": 10, "and": 15, "&&": 15,
    "==": 20, "!=": 20, "<": 20, ">": 20, "<=": 20, ">=": 20,
    "in": 20, "matches": 20, "contains": 20, "startsWith": 20, "endsWith": 20,
    "..": 25, "+": 30, "-": 30, "*": 60, "/": 60, "%": 60, "**": 100, "^": 100, "??": 500,
}  # fmt: skip
_UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
_RIGHT = ("**", "^")
_NEGATABLE = ("in", "matches", "contains", "startsWith", "endsWith")
_PREDICATES = {"all", "none", "any", "one", "filter", "map", "count", "sum", "find", "findIndex", "findLast",
               "findLastIndex", "groupBy", "sortBy", "reduce"}  # fmt: skip
_CONSTANTS = {"true": True, "false": False, "nil": None}
_DEEPEST = 100


class _Parser:
    def __init__(self, source: str) -> None:
        self.tokens, self.at, self.depth = tokens(source), 0, 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        if self.token[0] == "end":
            raise ExpressionError("unexpected token EOF")
        self.at += 1
        return self.tokens[self.at - 1]

    def accept(self, *words: str) -> bool:
        if self.token[0] in ("op", "name") and self.token[1] in words:
            self.at += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise ExpressionError(f"unexpected token {self._name()}, expected {word!r}")

    def _name(self) -> str:
        kind, value = self.token
        return "EOF" if kind == "end" else f"{kind}({value!r})"

    def whole(self) -> Node:
        node = self.expression()
        if self.token[0] != "end":
            raise ExpressionError(f"unexpected token {self._name()}")
        return node

    def expression(self, minimum: int = 0) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ExpressionError("the expression is nested too deeply")
        if minimum == 0 and self.token == ("name", "let"):
            node = self._let()
        elif minimum == 0 and self.token == ("name", "if"):
            node = self._if()
        else:
            node = self._binary(minimum)
            if minimum == 0:
                node = self._tail(node)
        self.depth -= 1
        return node

    def _let(self) -> Node:
        self.take()
        name = self.take()[1]
        self.expect("=")
        value = self.expression()
        self.expect(";")
        return ("let", name, value, self.expression())

    def _if(self) -> Node:
        self.take()
        condition = self.expression()
        self.expect("{")
        yes = self.expression()
        self.expect("}")
        self.expect("else")
        if self.token == ("name", "if"):
            return ("if", condition, yes, self._if())
        self.expect("{")
        no = self.expression()
        self.expect("}")
        return ("if", condition, yes, no)

    def _binary(self, minimum: int) -> Node:
        left = self._primary()
        while True:
            start = self.at
            negated = self.accept("not")
            kind, word = self.token
            power = _BINARY.get(word, -1) if kind in ("op", "name") else -1
            if power < max(minimum, 1) or (negated and word not in _NEGATABLE):
                self.at = start
                return left
            self.take()
            left = ("binary", word, left, self.expression(power if word in _RIGHT else power + 1))
            if negated:
                left = ("unary", "not", left)

    def _tail(self, node: Node) -> Node:
        """What binds loosest: pipes and the ternary."""
        while True:
            if self.accept("|"):
                node = self._postfix(self._call(self.take()[1], first=node))
            elif self.accept("?"):
                if self.accept(":"):
                    node = ("if", node, node, self.expression())
                else:
                    yes = self.expression()
                    self.expect(":")
                    node = ("if", node, yes, self.expression())
            else:
                return node

    def _primary(self) -> Node:
        kind, value = self.token
        if kind in ("op", "name") and value in _UNARY:
            self.take()
            return self._postfix(("unary", value, self.expression(_UNARY[value])))
        self.take()
        if kind in ("number", "string"):
            node: Node = ("value", value)
        elif kind == "name" and value in _CONSTANTS:
            node = ("value", _CONSTANTS[value])
        elif kind == "name":
            node = self._call(value) if self.token == ("op", "(") else ("name", value)
        elif value == "(":
            node = self.expression()
            self.expect(")")
        elif value == "[":
            node = ("list", self._items("]"))
        elif value == "{":
            node = self._map()
        elif value == "#":
            node = ("name", "#" + self.take()[1]) if self.token[0] == "name" else ("name", "#")
        elif value == ".":
            node = ("member", ("name", "#"), ("value", self.take()[1]), False)
        else:
            self.at -= 1
            raise ExpressionError(f"unexpected token {self._name()}")
        return self._postfix(node)

    def _items(self, end: str) -> list[Node]:
        found: list[Node] = []
        while not self.accept(end):
            if found:
                self.expect(",")
                if self.accept(end):
                    break
            found.append(self.expression())
        return found

    def _map(self) -> Node:
        pairs: list[tuple[Node, Node]] = []
        while not self.accept("}"):
            if pairs:
                self.expect(",")
                if self.accept("}"):
                    break
            kind, key = self.take()
            if (kind, key) == ("op", "("):
                node = self.expression()
                self.expect(")")
            elif kind in ("name", "string", "number"):
                node = ("value", str(key))
            else:
                raise ExpressionError(
                    f"a map key must be a quoted string, a number, a identifier, or an expression: {key}"
                )
            self.expect(":")
            pairs.append((node, self.expression()))
        return ("map", pairs)

    def _call(self, name: str, first: Node | None = None) -> Node:
        self.expect("(")
        arguments: list[Node] = [] if first is None else [first]
        if name in _PREDICATES:
            if first is None and self.token != ("op", ")"):
                arguments.append(self.expression())
                self.accept(",")
            while not self.accept(")"):
                arguments.append(("closure", self._closure()) if len(arguments) == 1 else self.expression())
                if self.token != ("op", ")"):
                    self.expect(",")
        else:
            arguments += self._items(")")
        return ("call", ("name", name), arguments)

    def _closure(self) -> Node:
        if self.accept("{"):
            node = self.expression()
            self.expect("}")
            return node
        return self.expression()

    def _postfix(self, node: Node) -> Node:
        while True:
            optional = self.token == ("op", "?.")
            if self.accept(".", "?."):
                if optional and self.accept("["):
                    node = ("member", node, self.expression(), True)
                    self.expect("]")
                    continue
                kind, name = self.take()
                if kind != "name":
                    self.at -= 1
                    raise ExpressionError(f"unexpected token {self._name()}, expected name")
                node = ("member", node, ("value", name), optional)
                if self.accept("("):
                    node = ("call", node, self._items(")"))
            elif self.accept("["):
                node = self._index(node)
            elif self.token == ("op", "(") and node[0] == "member":
                self.take()
                node = ("call", node, self._items(")"))
            else:
                return node

    def _index(self, node: Node) -> Node:
        start = None if self.token == ("op", ":") else self.expression()
        if self.accept(":"):
            end = None if self.token == ("op", "]") else self.expression()
            self.expect("]")
            return ("slice", node, start, end)
        self.expect("]")
        return ("member", node, start, False)


@lru_cache(maxsize=2048)
def parse(source: str) -> Node:
    """The expression's tree; ExpressionError where it is not one."""
    if not source.strip():
        raise ExpressionError("unexpected token EOF")
    return _Parser(source).whole()


# -- evaluating ----------------------------------------------------------------------------------------------------


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
    from labkit.embedded.argo.functions import ARGO  # here, because functions call back into this module

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
