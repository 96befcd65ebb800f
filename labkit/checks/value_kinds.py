"""What an answer is, in the words of a person."""

from __future__ import annotations

from types import FunctionType, GeneratorType

KINDS = {
    bool: "a truth value",
    int: "a whole number",
    float: "a number",
    complex: "a complex number",
    str: "text",
    bytes: "bytes",
    list: "a list",
    tuple: "a tuple",
    set: "a set",
    dict: "a dictionary",
    type(None): "None",
    FunctionType: "a function",
    GeneratorType: "a generator",
}


def kind(value: object) -> str:
    """`a list`, or for a type without a common word `an object of type DataFrame`."""
    return KINDS.get(type(value), f"an object of type {type(value).__name__}")
