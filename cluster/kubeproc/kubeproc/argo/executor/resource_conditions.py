"""successCondition and failureCondition of resource templates: label selectors whose keys are paths into the object.

Grammar of the selectors, as in Kubernetes: `path = v`, `==`, `!=`, `> n`, `< n`, `in (a, b)`, `notin (a, b)`, `path`,
`!path`, joined by commas. A path is dotted; a number indexes a list. Success needs every requirement, failure one. The
value at a path is compared as text: true and false, numbers as in JSON, empty for null. Requirements are checked in the
order of their paths, and printed as Argo prints them: `{status.failed gt [0]}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kubeproc.argo.executor.task import TaskError

_TOKEN = re.compile(r"\s*(==|!=|[=<>!(),]|[^\s=<>!(),]+)")
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_OPERATORS = {"=": "=", "==": "==", "!=": "!=", ">": "gt", "<": "lt", "in": "in", "notin": "notin"}
_WHOLE = re.compile(r"[+-]?[0-9]+$")
MISSING = object()


def value_at(obj: Any, path: str) -> Any:
    """The value at the dotted path, or MISSING."""
    for part in path.split("."):
        if isinstance(obj, dict) and part in obj:
            obj = obj[part]
        elif isinstance(obj, list) and part.isdigit() and int(part) < len(obj):
            obj = obj[int(part)]
        else:
            return MISSING
    return obj


def text_of(value: Any) -> str:
    """A value as text for comparison."""
    if value is MISSING or value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Requirement:
    path: str
    operator: str  # as Kubernetes names it: =, ==, !=, gt, lt, in, notin, exists, !
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{{{self.path} {self.operator} [{' '.join(self.values)}]}}"

    def holds(self, obj: Any) -> bool:
        found = value_at(obj, self.path)
        there, text = found is not MISSING, text_of(found)
        if self.operator in ("gt", "lt"):
            if not there or not _WHOLE.match(text):
                return False
            number, bound = int(text), int(self.values[0])
            return number > bound if self.operator == "gt" else number < bound
        tests: dict[str, Callable[[], bool]] = {
            "exists": lambda: there,
            "!": lambda: not there,
            "!=": lambda: not there or text not in self.values,
            "notin": lambda: not there or text not in self.values,
        }
        return tests.get(self.operator, lambda: there and text in self.values)()


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def next(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def key(self) -> str:
        key = self.next()
        if not key or not _NAME.match(key.rpartition("/")[2]):
            raise ValueError(f"found '{key}', expected: identifier")
        if len(key.rpartition("/")[2]) > 63:
            raise ValueError(f'key: Invalid value: "{key}": name part must be no more than 63 characters')
        return key

    def value(self) -> str:
        if self.peek() in ("", ",", ")"):
            return ""
        value = self.next()
        if not _VALUE.match(value) or len(value) > 63:
            raise ValueError(f'values: Invalid value: "{value}": a valid label value is needed')
        return value

    def requirement(self) -> Requirement:
        if self.peek() == "!":
            self.next()
            return Requirement(self.key(), "!")
        path = self.key()
        if self.peek() in ("", ","):
            return Requirement(path, "exists")
        sign = self.next()
        if sign not in _OPERATORS:
            raise ValueError(f"found '{sign}', expected: in, notin, =, ==, !=, gt, lt")
        operator = _OPERATORS[sign]
        if operator in ("in", "notin"):
            return Requirement(path, operator, self.list())
        value = self.value()
        if operator in ("gt", "lt") and not _WHOLE.match(value):
            raise ValueError(
                f"values[0]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer"
            )
        return Requirement(path, operator, (value,))

    def list(self) -> tuple[str, ...]:
        if (token := self.next()) != "(":
            raise ValueError(f"found '{token}', expected: '('")
        values = {self.value()}
        while (token := self.next()) == ",":
            values.add(self.value())
        if token != ")":
            raise ValueError(f"found '{token}', expected: ',', or ')'")
        return tuple(sorted(values))


def parse(text: str, which: str) -> list[Requirement]:
    """The requirements of a condition, sorted by path; none for an empty one. `which` (success, fail) is for the error
    message."""
    parser, found = _Parser(text), []
    if not text.strip():
        return []
    try:
        while True:
            found.append(parser.requirement())
            if not (token := parser.next()):
                return sorted(found, key=lambda r: r.path)
            if token != ",":
                raise ValueError(f"found '{token}', expected: ',' or 'end of string'")
    except ValueError as error:
        why = f"unable to parse requirement: {error}"
        raise TaskError(f"{which} condition '{text}' failed to parse: {why}") from error
