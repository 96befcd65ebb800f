"""The expressions within a JSONPath: `@.price > 10 && @.kind == 'a'`.

Mechanism, as upstream's. Each operator in turn, lowest precedence first, is searched outside quotes and brackets; its
left and right sides are parsed in the same way, and a part without operator is a text. A text that parses as a number
is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubeproc.argo.language import marshal, patterns
from kubeproc.argo.language.builtins_numbers import parse_float, parse_int
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.formats import text
from kubeproc.argo.language.operators import divide, power, remainder
from kubeproc.argo.language.values import Int

_SIGNS = (
    "||",
    "&&",
    "==",
    "!=",
    "<=",
    ">=",
    "<",
    ">",
    "=~",
    "!",
    "+",
    "-",
    "**",
    "*",
    "/",
    "%",
    "not in",
    "in",
    "@",
    "$",
)
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")
Operator = tuple[str, Any, Any]
Program = tuple[str, Operator | None]


def compile_script(source: str) -> Program:
    return source, _parse(source, _SIGNS)


def _parse(source: str, signs: tuple[str, ...]) -> Operator | None:
    source = source.strip()
    if not source:
        return None
    if source.startswith("(") and source.endswith(")"):
        source, signs = source[1:-1].strip(), _SIGNS
    for at, sign in enumerate(signs):
        place = _find(source, sign)
        if place < 0:
            continue
        right, left = source[place + len(sign) :].strip(), source[:place].strip()
        if not right and sign not in "@$":
            continue
        later = signs[at:]
        second = _operand(right, later)
        if not left and sign not in "@$!":
            continue
        first = _operand(left, later)
        if sign in "@$!" and first is not None:
            continue
        if sign in "@$":
            return sign, source, None
        return sign, first, second
    return None


def _operand(source: str, signs: tuple[str, ...]) -> Any:
    found = _parse(source, signs)
    if found is not None:
        return found
    source = source.strip()
    if source[:1] + source[-1:] in ("[]", "{}"):
        try:
            return marshal.unmarshal(source)
        except Panic:
            return source
    return source or None


def _find(source: str, sign: str) -> int:
    """The first position of an operator outside quotes and brackets."""
    single = double = False
    square = rounded = 0
    for at, char in enumerate(source):
        quoted = single or double
        if char in "()" and not quoted and square <= 0:
            rounded += 1 if char == "(" else -1
        elif char in "[]" and not quoted and rounded <= 0:
            square += 1 if char == "[" else -1
        elif char == "'" and not double and square <= 0 and rounded <= 0:
            single = not single
        elif char == '"' and not single and square <= 0 and rounded <= 0:
            double = not double
        if single or double or square > 0 or rounded > 0 or at + 1 < len(sign):
            continue
        if source[at + 1 - len(sign) : at + 1] == sign:
            return at + 1 - len(sign)
    return -1


Find = Callable[[str, Any, Any], Any]  # resolves a path from a root and a value: JSONPath itself, which calls filters


class _Scope:
    def __init__(self, root: Any, value: Any, find: Find) -> None:
        self.root, self.value, self.find = root, value, find
        self.names = {"$": root, "@": value, "nil": None, "null": None}

    def resolve(self, part: Any) -> Any:
        """An operand's value, or that of the name that it is."""
        value = self.evaluate(part) if isinstance(part, tuple) else part
        return self.names[value] if isinstance(value, str) and value in self.names else value

    def number(self, part: Any) -> float:
        if part is None:
            raise Panic("invalid argument. is nil")
        number = parse_float(text(self.resolve(part)))
        if number is None:
            raise Panic("invalid argument. expected number")
        return number

    def integer(self, part: Any) -> int:
        number = None if part is None else parse_int(text(self.resolve(part)))
        if number is None:
            raise Panic("invalid argument. expected integer")
        return number

    def truth(self, part: Any) -> bool:
        value = None if part is None else self.resolve(part)
        if value is None:
            return False
        word = text(value)
        if word not in _TRUE and word not in _FALSE:
            raise Panic("invalid argument. expected boolean")
        return word in _TRUE

    def string(self, part: Any) -> str:
        if part is None:
            raise Panic("invalid argument. is nil")
        value = self.evaluate(part) if isinstance(part, tuple) else part
        named = isinstance(value, str) and value in self.names
        value = self.names[value] if named else value
        if not isinstance(value, str):
            return text(value)
        if len(value) > 1 and value[0] == value[-1] == '"':
            return f"'{value[1:-1]}'"
        if len(value) > 1 and value[0] == value[-1] == "'":
            return value
        return f"'{value}'" if named else value

    def members(self, part: Any) -> list[Any]:
        value = self.resolve(part)
        if isinstance(value, str) and value[:1] + value[-1:] in ("[]", "{}"):
            value = marshal.unmarshal(value)
        if isinstance(value, dict):
            return list(value.values())
        if not isinstance(value, list):
            raise Panic("invalid argument. expected array, map, or slice")
        return value

    def contains(self, first: Any, second: Any) -> bool:
        wanted: Any = first
        for cast in (self.number, self.string, self.truth):
            try:
                wanted = cast(first)
                break
            except Panic:
                continue
        return any(type(item) is type(wanted) and item == wanted for item in self.members(second))

    def equal(self, first: Any, second: Any) -> bool:
        try:
            return self.number(first) == self.number(second)
        except Panic:
            return self.string(first) == self.string(second)

    def matches(self, first: Any, second: Any) -> bool:
        value, pattern = (_bare(self.string(part)) for part in (first, second))
        return patterns.compiled(pattern).search(value) is not None

    def select(self, path: str) -> Any:
        found = self.find(path, self.root, self.value)
        if isinstance(found, str) and not (len(found) > 1 and found[0] == found[-1] == "'"):
            return f"'{found}'"
        return found

    def evaluate(self, operator: Operator) -> Any:
        sign, first, second = operator
        if sign in "@$":
            return self.select(first)
        if sign in _ON_NUMBERS:
            return _ON_NUMBERS[sign](self.number(first), self.number(second))
        if sign == "%":
            return Int(remainder(self.integer(first), self.integer(second)), "int64")
        if sign == "!":
            return not self.truth(second)
        if sign in ("&&", "||"):
            a, b = self.truth(first), self.truth(second)
            return (a and b) if sign == "&&" else (a or b)
        found = {"==": self.equal, "!=": self.equal, "in": self.contains, "not in": self.contains, "=~": self.matches}[
            sign
        ]
        return found(first, second) is (sign not in ("!=", "not in"))


_ON_NUMBERS: dict[str, Callable[[float, float], Any]] = {
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": divide, "**": power,
}  # fmt: skip


def _bare(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == "'" else value


def run(program: Program, root: Any, value: Any, find: Find) -> Any:
    """The expression's result for a value."""
    source, operator = program
    scope = _Scope(root, value, find)
    if operator is not None:
        return scope.evaluate(operator)
    if source in scope.names:
        return scope.names[source]
    for cast in (scope.number, scope.truth):
        try:
            return cast(source)
        except Panic:
            continue
    return source


def includes(program: Program, root: Any, value: Any, find: Find) -> bool:
    """Whether a filter keeps a value."""
    try:
        made = run(program, root, value, find)
    except Panic:
        return False
    if isinstance(made, str):
        bare = made[1:-1] if len(made) > 1 and made[0] == made[-1] and made[0] in "'\"" else made
        return bare != ""
    return bool(made)
