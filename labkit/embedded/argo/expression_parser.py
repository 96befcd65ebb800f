"""Parsing the expressions of `{{=...}}`: tokens, then operator precedence, into nested tuples.

Mechanism. Upstream's table of precedences is followed to the letter, which no fixed grammar reproduces: `not` binds
looser than `*`, `??` tighter than everything, and what stands in braces is a map or a predicate by where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

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
