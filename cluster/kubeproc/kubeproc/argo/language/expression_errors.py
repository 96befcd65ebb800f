"""Errors of an expression, with their position."""

from __future__ import annotations


class ExpressionError(Exception):
    """The expression does not parse, names something unknown, or can't be computed."""


class Panic(Exception):
    """A runtime error of a function or operator; the evaluator adds the position."""


class Misfit(Panic):
    """One of a function's arguments has a type that doesn't fit."""

    def __init__(self, message: str, index: int) -> None:
        self.index = index
        super().__init__(message)


class Located(ExpressionError):
    """An error at one character of the source: `MESSAGE (LINE:COLUMN)`, the line, and a mark below it."""

    def __init__(self, message: str, source: str, at: int) -> None:
        self.message = message
        before = source[:at]
        line, start = before.count("\n") + 1, before.rfind("\n") + 1
        text = source[start:].split("\n", 1)[0]
        shown = message
        if text:
            tabless = text.replace("\t", " ")
            shown += f" ({line}:{at - start + 1})\n | {tabless}\n | {'.' * (at - start)}^"
        super().__init__(shown)
