"""The requirements of a label selector: `a=b`, `a==b`, `a!=b`, `a in (x,y)`, `a notin (x,y)`, `a`, `!a`, `a>1`, `a<1`, joined by
commas. The parser is the recursive descent of k8s.io/apimachinery/pkg/labels, with its error messages.

Labels are selected by them (`selectors`), and so is the state of an object that a workflow waits for (Argo's conditions).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)")
_OPERATORS = {"in": "in", "notin": "notin", "=": "=", "==": "==", "!=": "!=", ">": "gt", "<": "lt"}
_SPECIAL = frozenset("=!(),<>") | {"==", "!="}
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_KEY = re.compile(rf"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?{_QUALIFIED}")
_VALUE = re.compile(rf"({_QUALIFIED})?")
_WHOLE = re.compile(r"[+-]?\d+")
_LONGEST = 63  # characters of a name or value
_KEY_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)
_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'({_QUALIFIED})?')"
)


class RequirementError(ValueError):
    """The text does not parse; the message is upstream's."""


@dataclass(frozen=True)
class Requirement:
    """`operator` is upstream's name: =, ==, !=, gt, lt, in, notin, exists, !. The values of `in` and `notin` are sorted."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{{{self.key} {self.operator} [{' '.join(self.values)}]}}"

    def holds(self, value: str | None) -> bool:
        """Whether the key may have this value; None if it has none."""
        if self.operator == "exists":
            return value is not None
        if self.operator == "!":
            return value is None
        if self.operator in ("!=", "notin"):
            return value not in self.values
        if value is None or self.operator not in ("gt", "lt"):
            return value in self.values
        if not _WHOLE.fullmatch(value):
            return False
        return int(value) > int(self.values[0]) if self.operator == "gt" else int(value) < int(self.values[0])


def parse(text: str) -> list[Requirement]:
    """The requirements in their order; RequirementError if the text does not parse."""
    return _Parser(text).requirements()


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while token := self.peek():
            if token in _SPECIAL and token != "!":
                raise RequirementError(f"found '{token}', expected: !, identifier, or 'end of string'")
            found.append(self.requirement())
            after = self.take()
            if after == "," and ((following := self.peek()) in _SPECIAL - {"!"} or not following):
                raise RequirementError(f"found '{following}', expected: identifier after ','")
            if after not in (",", ""):
                raise RequirementError(f"found '{after}', expected: ',' or 'end of string'")
        return found

    def requirement(self) -> Requirement:
        absent = self.peek() == "!"
        if absent:
            self.take()
        key = self.identifier()
        if not _KEY.fullmatch(key):
            raise _unparsed(f'key: Invalid value: "{key}": {_KEY_WORDS}')
        if len(key.rpartition("/")[2]) > _LONGEST:
            raise _unparsed(f'key: Invalid value: "{key}": name part must be no more than {_LONGEST} characters')
        if absent:
            return Requirement(key, "!")
        if self.peek() in (",", ""):
            return Requirement(key, "exists")
        sign = self.take()
        if sign not in _OPERATORS:
            raise _unparsed(f"found '{sign}', expected: in, notin, =, ==, !=, gt, lt")
        operator = _OPERATORS[sign]
        values = self.values() if operator in ("in", "notin") else [self.exact()]
        for i, value in enumerate(values):
            if not _VALUE.fullmatch(value):
                raise _unparsed(f'values[{i}][{key}]: Invalid value: "{value}": {_VALUE_WORDS}')
            if len(value) > _LONGEST:
                words = f"must be no more than {_LONGEST} characters"
                raise _unparsed(f'values[{i}][{key}]: Invalid value: "{value}": {words}')
        if operator in ("gt", "lt") and not _WHOLE.fullmatch(values[0]):
            words = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise _unparsed(f'values[0]: Invalid value: "{values[0]}": {words}')
        return Requirement(key, operator, tuple(sorted(set(values))))

    def identifier(self) -> str:
        token = self.take()
        if token in _SPECIAL or not token:
            raise _unparsed(f"found '{token}', expected: identifier")
        return token

    def exact(self) -> str:
        return "" if self.peek() in (",", "") else self.identifier()

    def values(self) -> list[str]:
        if (token := self.take()) != "(":
            raise _unparsed(f"found '{token}' expected: '('")
        found = []
        while True:
            found.append("" if self.peek() in (",", ")") else self.listed())
            if (token := self.take()) == ")":
                return found
            if token != ",":
                raise _unparsed(f"found '{token}', expected: ',' or ')'")

    def listed(self) -> str:
        token = self.take()
        if token in _SPECIAL or not token:
            raise _unparsed(f"found '{token}', expected: ',', ')' or identifier")
        return token


def _unparsed(words: str) -> RequirementError:
    return RequirementError(f"unable to parse requirement: {words}")
