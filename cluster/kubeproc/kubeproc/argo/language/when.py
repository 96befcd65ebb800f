"""`when`: a govaluate expression in which a bare word is a string.

Mechanism. Tokens, then precedence climbing straight into a value. Parameters are already substituted in the text, so
`{{steps.flip.outputs.result}} == heads` reads `tails == heads` here and compares two strings; the workflow's author
must quote a value with a space or a dash, and the error says so. Numbers compare only with numbers: `5 == "5"` is
false, `"a" > 1` is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from kubeproc.argo.language import go_text, patterns
from kubeproc.argo.language.expression_errors import Panic


class ConditionError(Exception):
    """The condition is invalid; the message is Argo's."""


_TOKEN = re.compile(
    r"""\s*(?:(?P<NUMERIC>0[xX][0-9a-fA-F]+|[0-9][0-9.]*|\.[0-9][0-9.]*)
      |(?P<VARIABLE>[^\W\d_][\w.]*)
      |(?P<ESCAPED>\[(?:\\.|[^\]\\])*\])
      |(?P<STRING>['"](?:\\.|[^'"\\])*['"])
      |(?P<CLAUSE>\()|(?P<CLAUSE_CLOSE>\))
      |(?P<SYMBOL>[^\w\s.'"()\[\]]+))""",
    re.VERBOSE | re.DOTALL,
)
_BLANKS = re.compile(r"\s*")
_KINDS = {
    "==": "COMPARATOR", "!=": "COMPARATOR", ">": "COMPARATOR", ">=": "COMPARATOR", "<": "COMPARATOR",
    "<=": "COMPARATOR", "=~": "COMPARATOR", "!~": "COMPARATOR", "in": "COMPARATOR",
    "&&": "LOGICALOP", "||": "LOGICALOP", "?": "TERNARY", ":": "TERNARY", "??": "TERNARY", ",": "SEPARATOR",
    "+": "MODIFIER", "-": "MODIFIER", "*": "MODIFIER", "/": "MODIFIER", "%": "MODIFIER", "**": "MODIFIER",
    "&": "MODIFIER", "|": "MODIFIER", "^": "MODIFIER", "<<": "MODIFIER", ">>": "MODIFIER",
}  # fmt: skip
_PREFIXES = ("-", "!", "~")
_POWER = {
    ",": 1, "?": 2, ":": 2, "??": 2, "||": 3, "&&": 4,
    "==": 5, "!=": 5, ">": 5, ">=": 5, "<": 5, "<=": 5, "=~": 5, "!~": 5, "in": 5,
    "|": 6, "&": 6, "^": 6, "<<": 7, ">>": 7, "+": 8, "-": 8, "*": 9, "/": 9, "%": 9, "**": 10,
}  # fmt: skip
_OPENING = ("COMPARATOR", "LOGICALOP", "TERNARY", "SEPARATOR", "MODIFIER", "PREFIX", "CLAUSE", "")

Token = tuple[str, Any]


def _tokens(source: str) -> list[Token]:
    found: list[Token] = []
    position = 0
    while (position := _BLANKS.match(source, position).end()) < len(source):  # type: ignore[union-attr]
        match = _TOKEN.match(source, position)
        if not match:
            rest = source[position:].strip()
            raise ConditionError("Unclosed string literal" if rest[0] in "'\"" else f"Invalid token: '{rest[0]}'")
        position, kind = match.end(), str(match.lastgroup)
        found.append(_token(kind, match[kind], found[-1] if found else ("", "")))
        _follows(found[-2] if len(found) > 1 else ("", ""), found[-1])
    if not found:
        raise ConditionError("Unexpected end of expression")
    if found[-1][0] in _OPENING:
        raise ConditionError("Unexpected end of expression")
    return found


def _token(kind: str, text: str, before: Token) -> Token:
    if kind == "NUMERIC":
        try:
            return kind, float(int(text, 16)) if text[:2].lower() == "0x" else float(text)
        except ValueError:
            raise ConditionError(f"Unable to parse numeric value '{text}' to float64\n") from None
    if kind == "STRING":
        return kind, re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    if kind == "ESCAPED":
        return "STRING", re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    if kind == "VARIABLE":
        if text in ("true", "false"):
            return "BOOLEAN", text == "true"
        if text in ("in", "IN"):
            return "COMPARATOR", "in"
        if text.endswith("."):
            raise ConditionError(f"Hanging accessor on token '{text}'")
        return ("ACCESSOR" if "." in text else "STRING"), text
    if kind == "SYMBOL":
        if before[0] in _OPENING and text in _PREFIXES:
            return "PREFIX", text
        if text not in _KINDS:
            raise ConditionError(f"Invalid token: '{text}'")
        return _KINDS[text], text
    return kind, text


def _follows(before: Token, token: Token) -> None:
    """Values follow operators, operators follow values."""
    opened = before[0] in _OPENING
    opens = token[0] in ("NUMERIC", "STRING", "BOOLEAN", "ACCESSOR", "PREFIX", "CLAUSE")
    if opened is opens or (token[0], before[0]) == ("CLAUSE_CLOSE", "CLAUSE"):
        return
    if not before[0]:
        raise ConditionError(f"Unexpected token '{token[1]}'")
    raise ConditionError(
        f"Cannot transition token types from {before[0]} [{go_text.text(before[1])}] to {token[0]} [{go_text.text(token[1])}]"
    )


class _Reader:
    def __init__(self, found: list[Token]) -> None:
        self.tokens, self.at = found, 0
        self.skipping = 0  # depth of skipped right sides

    def peek(self) -> Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("", "")

    def take(self) -> Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def value(self, minimum: int = 1) -> Any:
        left = self._one()
        while True:
            kind, word = self.peek()
            power = (
                _POWER.get(word, 0) if kind in ("COMPARATOR", "LOGICALOP", "TERNARY", "SEPARATOR", "MODIFIER") else 0
            )
            if not power or power < minimum:
                return left
            self.take()
            left = self._operate(word, left, power)

    def _operate(self, word: str, left: Any, power: int) -> Any:
        if self.skipping:
            return self.value(power + 1)
        if word == "?":
            _need(left, bool, f"Value '{_show(left)}' cannot be used with the ternary operator '?', it is not a bool")
            return self._right(power) if left else self._skipped(power, _Missing)
        if word == ":":
            return self._right(power) if left is _Missing else self._skipped(power, left)
        if word == "??":
            return self._right(power) if left in (None, _Missing) else self._skipped(power, left)
        if word in ("&&", "||") and left is (word == "||"):
            return self._skipped(power, left)
        right = self._right(power)
        if word == ",":
            return [*left, right] if isinstance(left, list) else [left, right]
        return _OPERATORS[word](left, right)

    def _right(self, power: int) -> Any:
        return self.value(power + 1)

    def _skipped(self, power: int, result: Any) -> Any:
        """The result after a skipped right side, whatever it contains."""
        self.skipping += 1
        self.value(power + 1)
        self.skipping -= 1
        return result

    def _one(self) -> Any:
        kind, value = self.take()
        if kind == "PREFIX":
            inside = self.value(11)
            return inside if self.skipping else _prefix(value, inside)
        if kind == "ACCESSOR" and not self.skipping:
            raise ConditionError(f"No parameter '{value.split('.')[0]}' found.")
        if kind == "CLAUSE":
            inside = None if self.peek()[0] == "CLAUSE_CLOSE" else self.value()
            self.take()
            return inside
        return value


class _Missing:
    """The value of a ternary's untaken branch."""


def _show(value: Any) -> str:
    return go_text.text(value) if not isinstance(value, list) else "[" + " ".join(map(_show, value)) + "]"


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and not isinstance(value, bool)


def _need(value: Any, kind: type, message: str) -> None:
    if not isinstance(value, kind):
        raise ConditionError(message)


def _prefix(word: str, value: Any) -> Any:
    if (word == "!") is not isinstance(value, bool) or (word != "!" and not _is_number(value)):
        raise ConditionError(f"Value '{_show(value)}' cannot be used with the prefix '{word}'")
    return not value if word == "!" else -value if word == "-" else float(~int(value))


def _logical(word: str) -> Callable[[Any, Any], bool]:
    def operate(a: Any, b: Any) -> bool:
        for side in (a, b):
            _need(
                side, bool, f"Value '{_show(side)}' cannot be used with the logical operator '{word}', it is not a bool"
            )
        return (a and b) if word == "&&" else (a or b)

    return operate


def _compare(word: str, test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def operate(a: Any, b: Any) -> bool:
        if (_is_number(a) and _is_number(b)) or (isinstance(a, str) and isinstance(b, str)):
            return test(a, b)
        odd = a if not _is_number(a) else b
        raise ConditionError(f"Value '{_show(odd)}' cannot be used with the comparator '{word}', it is not a number")

    return operate


def _arithmetic(word: str, compute: Callable[[float, float], float]) -> Callable[[Any, Any], Any]:
    def operate(a: Any, b: Any) -> Any:
        if word == "+" and (isinstance(a, str) or isinstance(b, str)):
            return _show(a) + _show(b)
        for side in (a, b):
            if not _is_number(side):
                raise ConditionError(
                    f"Value '{_show(side)}' cannot be used with the modifier '{word}', it is not a number"
                )
        try:
            return float(compute(a, b))
        except (ArithmeticError, ValueError, OverflowError, TypeError):
            return float("inf")

    return operate


def _matches(a: Any, b: Any) -> bool:
    for side in (a, b):
        _need(side, str, f"Value '{_show(side)}' cannot be used with the comparator '=~', it is not a string")
    try:
        return patterns.compiled(b).search(a) is not None
    except Panic as error:
        raise ConditionError(f"Unable to compile regexp pattern '{b}': {error}") from None


def _within(a: Any, b: Any) -> bool:
    _need(b, list, f"Value '{_show(b)}' cannot be used with the comparator 'in', it is not an array")
    return any(_same(a, item) for item in b)


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": _same, "!=": lambda a, b: not _same(a, b), "in": _within,
    ">": _compare(">", lambda a, b: a > b), ">=": _compare(">=", lambda a, b: a >= b),
    "<": _compare("<", lambda a, b: a < b), "<=": _compare("<=", lambda a, b: a <= b),
    "=~": _matches, "!~": lambda a, b: not _matches(a, b), "&&": _logical("&&"), "||": _logical("||"),
    "+": _arithmetic("+", lambda a, b: a + b), "-": _arithmetic("-", lambda a, b: a - b),
    "*": _arithmetic("*", lambda a, b: a * b), "/": _arithmetic("/", lambda a, b: a / b),
    "%": _arithmetic("%", lambda a, b: a % b), "**": _arithmetic("**", lambda a, b: a**b),
    "&": _arithmetic("&", lambda a, b: int(a) & int(b)), "|": _arithmetic("|", lambda a, b: int(a) | int(b)),
    "^": _arithmetic("^", lambda a, b: int(a) ^ int(b)), "<<": _arithmetic("<<", lambda a, b: int(a) << min(int(b), 64)),
    ">>": _arithmetic(">>", lambda a, b: int(a) >> int(b)),
}  # fmt: skip


@lru_cache(maxsize=4096)
def holds(when: str) -> bool:
    """Whether the condition is true; an empty one is. ConditionError with Argo's message if it is invalid."""
    if not when:
        return True
    try:
        found = _tokens(when)
        opened = 0
        for kind, _ in found:
            opened += {"CLAUSE": 1, "CLAUSE_CLOSE": -1}.get(kind, 0)
            if opened < 0:
                break
        if opened:
            raise ConditionError("Unbalanced parenthesis")
    except ConditionError as error:
        hint = ' (hint: try wrapping the affected expression in quotes ("))' if "Invalid token" in str(error) else ""
        raise ConditionError(f"Invalid 'when' expression '{when}': {error}{hint}") from None
    try:
        result = _Reader(found).value()
    except (ConditionError, RecursionError) as error:
        raise ConditionError(f"Failed to evaluate 'when' expresion '{when}': {error}") from None
    if not isinstance(result, bool):
        raise ConditionError(f"Expected boolean evaluation for '{when}'. Got {_show(result)}")
    return result
