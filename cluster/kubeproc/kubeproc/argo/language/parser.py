"""Parsing an expression: operator precedence over tokens, into a tree of nodes.

Mechanism. Upstream's table of precedences is followed to the letter, which no fixed grammar reproduces: `not` binds
looser than `*`, `??` tighter than everything, and braces enclose a map or a predicate, depending on their position.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from kubeproc.argo.language.expression_errors import Located
from kubeproc.argo.language.lexer import (
    BRACKET,
    END,
    IDENTIFIER,
    NUMBER,
    OPERATOR,
    STRING,
    Token,
    is_letter,
    tokens,
)

BINARY = {
    "|": 0, "or": 10, "||": 10, "and": 15, "&&": 15,
    "==": 20, "!=": 20, "<": 20, ">": 20, "<=": 20, ">=": 20,
    "in": 20, "matches": 20, "contains": 20, "startsWith": 20, "endsWith": 20,
    "..": 25, "+": 30, "-": 30, "*": 60, "/": 60, "%": 60, "**": 100, "^": 100, "??": 500,
}  # fmt: skip
_UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
_RIGHT = ("**", "^")
_NEGATABLE = ("in", "matches", "contains", "startsWith", "endsWith")
_COMPARISONS = ("<", ">", "<=", ">=")
_CONSTANTS = {"true": True, "false": False, "nil": None}
_DEEPEST = 100

# What each predicate takes: `e` an expression, `p` a predicate, upper case if it is optional.
PREDICATES = {"all": "ep", "none": "ep", "any": "ep", "one": "ep", "filter": "ep", "map": "ep", "count": "eP", "sum": "eP",
              "find": "ep", "findIndex": "ep", "findLast": "ep", "findLastIndex": "ep", "groupBy": "ep", "sortBy": "epE",
              "reduce": "epE"}  # fmt: skip


@dataclass(slots=True)
class Node:
    """One operation: `kind` names it, `value` is its own text or number, `parts` its operands, `at` its position."""

    kind: str
    at: int
    value: Any = None
    parts: list[Node] = field(default_factory=list)
    optional: bool = False  # of a member: `?.`


class _Parser:
    def __init__(self, source: str, builtins: frozenset[str]) -> None:
        self.source, self.builtins = source, builtins
        self.tokens, self.index, self.depth, self.predicates = tokens(source), 0, 0, 0

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def next(self) -> Token:
        token = self.token
        if token.kind == END:
            raise Located("unexpected token EOF", self.source, token.at)
        self.index += 1
        return token

    def sees(self, kind: str, *values: str) -> bool:
        return self.token.kind == kind and (not values or self.token.value in values)

    def accept(self, kind: str, *values: str) -> bool:
        if self.sees(kind, *values):
            self.index += 1
            return True
        return False

    def unexpected(self, token: Token | None = None) -> Located:
        token = token or self.token
        return Located(f"unexpected token {token}", self.source, token.at)

    def expect(self, kind: str, *values: str) -> Token:
        if not self.sees(kind, *values):
            raise self.unexpected()
        self.index += 1
        return self.tokens[self.index - 1]

    def whole(self) -> Node:
        node = self.sequence()
        if self.token.kind != END:
            raise self.unexpected()
        return node

    def sequence(self) -> Node:
        nodes = [self.expression()]
        while self.accept(OPERATOR, ";"):
            if self.token.kind == END:
                break
            nodes.append(self.expression())
        return nodes[0] if len(nodes) == 1 else Node("sequence", nodes[0].at, parts=nodes)

    def expression(self, minimum: int = 0) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise Located("the expression is nested too deeply", self.source, self.token.at)
        if minimum == 0 and self.sees(OPERATOR, "let"):
            node = self._let()
        elif minimum == 0 and self.sees(OPERATOR, "if"):
            node = self._if()
        else:
            node = self._operators(minimum)
        self.depth -= 1
        return node

    def _let(self) -> Node:
        self.next()
        name = self.expect(IDENTIFIER)
        self.expect(OPERATOR, "=")
        value = self.expression()
        self.expect(OPERATOR, ";")
        return Node("let", name.at, name.value, [value, self.sequence()])

    def _if(self) -> Node:
        at = self.next().at
        condition = self.expression()
        self.expect(BRACKET, "{")
        yes = self.sequence()
        self.expect(BRACKET, "}")
        self.expect(OPERATOR, "else")
        if self.sees(OPERATOR, "if"):
            return Node("if", at, parts=[condition, yes, self._if()])
        self.expect(BRACKET, "{")
        no = self.sequence()
        self.expect(BRACKET, "}")
        return Node("if", at, parts=[condition, yes, no])

    def _operators(self, minimum: int) -> Node:
        left, before = self._primary(), ""
        while self.token.kind == OPERATOR:
            start, negated = self.index, None
            if self.sees(OPERATOR, "not"):
                self.index += 1
                if self.token.value not in _NEGATABLE:
                    raise self.unexpected()
                negated = self.token
            token = self.token
            power = BINARY.get(token.value, -1)
            if power < minimum:
                self.index = start
                break
            self.index += 1
            if token.value == "|":
                left = self._call(self.expect(IDENTIFIER), [left])
            elif before == "??" and token.value != "??":
                why = f"Operator ({token.value}) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses."
                raise Located(why, self.source, token.at)
            elif token.value in _COMPARISONS:
                left = self._comparison(left, token, power)
            else:
                right = self.expression(power if token.value in _RIGHT else power + 1)
                left = Node("binary", token.at, token.value, [left, right])
                if negated:
                    left = Node("unary", negated.at, "not", [left])
            before = token.value
        return self._ternary(left) if minimum == 0 else left

    def _comparison(self, left: Node, token: Token, power: int) -> Node:
        """`1 < 2 < 3` means both."""
        whole: Node | None = None
        while True:
            right = self.expression(power + 1)
            one = Node("binary", token.at, token.value, [left, right])
            whole = one if whole is None else Node("binary", token.at, "&&", [whole, one])
            left, token = right, self.token
            if not self.accept(OPERATOR, *_COMPARISONS):
                return whole

    def _ternary(self, node: Node) -> Node:
        while self.accept(OPERATOR, "?"):
            if self.accept(OPERATOR, ":"):
                yes = node
            else:
                yes = self.expression()
                self.expect(OPERATOR, ":")
            no = self.expression()
            node = Node("if", self.token.at, parts=[node, yes, no])
        return node

    def _primary(self) -> Node:
        token = self.token
        if token.kind == OPERATOR and token.value in _UNARY:
            self.index += 1
            return self._postfix(Node("unary", token.at, token.value, [self.expression(_UNARY[token.value])]))
        if self.accept(BRACKET, "("):
            node = self.sequence()
            self.expect(BRACKET, ")")
            return self._postfix(node)
        if self.predicates and self.sees(OPERATOR, "#", "."):
            name = ""
            if self.accept(OPERATOR, "#") and self.sees(IDENTIFIER):
                name = self.next().value
            return self._postfix(Node("pointer", token.at, name))
        if self.accept(OPERATOR, "::"):
            return self._postfix(self._call(self.expect(IDENTIFIER), [], builtin=True))
        return self._secondary()

    def _secondary(self) -> Node:
        token = self.token
        if self.accept(IDENTIFIER):
            if token.value in _CONSTANTS:
                return Node("constant", token.at, _CONSTANTS[token.value])
            if self.sees(BRACKET, "("):
                return self._postfix(self._call(token, []))
            return self._postfix(Node("name", token.at, token.value))
        if self.accept(NUMBER):
            return Node("constant", token.at, self._number(token))
        if self.accept(STRING):
            return self._postfix(Node("constant", token.at, token.value))
        if self.accept(BRACKET, "["):
            return self._postfix(Node("array", token.at, parts=self._items("]")))
        if self.accept(BRACKET, "{"):
            return self._postfix(self._map(token))
        raise self.unexpected()

    def _number(self, token: Token) -> int | float:
        text = token.value.replace("_", "").lower()
        kind = {"0x": "hex", "0b": "binary", "0o": "octal"}.get(text[:2], "integer")
        if kind != "hex" and ("." in text or "e" in text):
            try:
                value = float(text)
            except ValueError:
                why = f'invalid float literal: strconv.ParseFloat: parsing "{text}": invalid syntax'
                raise Located(why, self.source, self.token.at) from None
            if value == float("inf"):
                why = f'invalid float literal: strconv.ParseFloat: parsing "{text}": value out of range'
                raise Located(why, self.source, self.token.at)
            return value
        try:
            number = int(text, 0 if kind != "integer" else 10)
            why = "value out of range"
        except ValueError:
            number, why = 2**63, "invalid syntax"
        if number >= 2**63:
            raise Located(
                f'invalid {kind} literal: strconv.ParseInt: parsing "{text}": {why}', self.source, self.token.at
            )
        return number

    def _items(self, end: str) -> list[Node]:
        found: list[Node] = []
        while not self.accept(BRACKET, end):
            if found:
                self.expect(OPERATOR, ",")
                if self.accept(BRACKET, end):
                    break
            found.append(self.expression())
        return found

    def _map(self, start: Token) -> Node:
        parts: list[Node] = []
        while not self.accept(BRACKET, "}"):
            if parts:
                self.expect(OPERATOR, ",")
                if self.accept(BRACKET, "}"):
                    break
            token = self.token
            if token.kind in (NUMBER, STRING, IDENTIFIER):
                self.index += 1
                key = Node("constant", token.at, token.value)
            elif self.sees(BRACKET, "("):
                key = self.expression()
            else:
                why = "a map key must be a quoted string, a number, a identifier, or an expression enclosed in parentheses"
                raise Located(f"{why} (unexpected token {token})", self.source, token.at)
            self.expect(OPERATOR, ":")
            parts += [key, self.expression()]
        return Node("map", start.at, parts=parts)

    def _call(self, name: Token, arguments: list[Node], *, builtin: bool = False) -> Node:
        known = builtin or name.value in self.builtins
        if name.value in PREDICATES and known:
            return Node("builtin", name.at, name.value, self._predicate(PREDICATES[name.value], arguments))
        self.expect(BRACKET, "(")
        arguments = arguments + self._items(")")
        if name.value in self.builtins or (builtin and name.value in ALL):
            return Node("builtin", name.at, name.value, arguments)
        return Node("call", name.at, None, [Node("name", name.at, name.value), *arguments])

    def _predicate(self, shape: str, arguments: list[Node]) -> list[Node]:
        self.expect(BRACKET, "(")
        found, shape = list(arguments), shape[len(arguments) :]
        for index, wanted in enumerate(shape):
            if self.sees(BRACKET, ")"):
                if wanted.isupper():
                    break
                raise Located(f"expected at least {len(shape)} arguments", self.source, self.token.at)
            if index:
                self.expect(OPERATOR, ",")
            found.append(self.expression() if wanted in "eE" else self._closure())
        self.accept(OPERATOR, ",")
        self.expect(BRACKET, ")")
        return found

    def _closure(self) -> Node:
        at, braces = self.token.at, self.accept(BRACKET, "{")
        self.predicates += 1
        node = self.sequence() if braces else self.expression()
        self.predicates -= 1
        if braces:
            self.expect(BRACKET, "}")
        elif self.sees(OPERATOR, ";"):
            raise Located("wrap predicate with brackets { and }", self.source, self.token.at)
        return Node("predicate", at, parts=[node])

    def _postfix(self, node: Node) -> Node:
        while True:
            token = self.token
            if self.accept(OPERATOR, ".", "?."):
                optional = token.value == "?."
                bracket = self.token
                if optional and self.accept(BRACKET, "["):
                    node = self._index(node, bracket, optional=True)
                else:
                    node = self._member(node, optional)
            elif self.accept(BRACKET, "["):
                node = self._index(node, token)
            else:
                return node

    def _member(self, node: Node, optional: bool) -> Node:
        name = self.next()
        if name.kind != IDENTIFIER and not (name.kind == OPERATOR and is_letter(name.value[:1])):
            raise Located("expected name", self.source, self.token.at)
        chained = node.kind == "chain"
        base = node.parts[0] if chained else node
        made = Node("member", name.at, "dot", [base, Node("constant", name.at, name.value)], optional)
        if self.accept(BRACKET, "("):
            made.value = "method"
            made = Node("call", name.at, None, [made, *self._items(")")])
        return Node("chain", name.at, parts=[made]) if chained or optional else made

    def _index(self, node: Node, token: Token, optional: bool = False) -> Node:
        nothing = Node("none", token.at)
        start = nothing if self.sees(OPERATOR, ":") else self.expression()
        if self.accept(OPERATOR, ":"):
            end = nothing if self.sees(BRACKET, "]") else self.expression()
            self.expect(BRACKET, "]")
            return Node("slice", token.at, None, [node, start, end])
        self.expect(BRACKET, "]")
        made = Node("member", token.at, "index", [node, start], optional)
        return Node("chain", token.at, parts=[made]) if optional else made


_CALLED = """len type abs ceil floor round int float string trim trimPrefix trimSuffix upper lower split splitAfter replace
    repeat join indexOf lastIndexOf hasPrefix hasSuffix max min mean median toJSON fromJSON toBase64 fromBase64 now duration
    date timezone first last get take keys values toPairs fromPairs reverse uniq concat flatten sort bitand bitor bitxor
    bitnand bitshl bitshr bitushr bitnot"""
ALL: frozenset[str] = frozenset(PREDICATES) | frozenset(_CALLED.split())


@lru_cache(maxsize=2048)
def parse(source: str, hidden: frozenset[str] = frozenset()) -> Node:
    """The expression's tree; Located if it does not parse. `hidden` are built-in functions whose names are variables here."""
    return _Parser(source, ALL - hidden).whole()
