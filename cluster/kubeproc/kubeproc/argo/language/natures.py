"""What is known about a value's type before evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubeproc.argo.language.values import ANY, DICT, INTEGERS, Function, kind, type_name


@dataclass(frozen=True)
class Nature:
    """A Go type, by its name; `element` describes a list's members, `function` a function."""

    name: str = "unknown"
    kind: str = "interface"
    element: Nature | None = None
    function: Function | None = None

    @property
    def unknown(self) -> bool:
        return self.kind == "interface"

    @property
    def is_nil(self) -> bool:
        return self.kind == "invalid"

    @property
    def is_integer(self) -> bool:
        return self.name in INTEGERS

    @property
    def is_number(self) -> bool:
        return self.is_integer or self.name == "float64"

    @property
    def is_list(self) -> bool:
        return self.kind in ("slice", "array")

    @property
    def members(self) -> Nature:
        return self.element or UNKNOWN

    def __str__(self) -> str:
        return self.name

    def assignable_to(self, other: Nature) -> bool:
        if self.is_nil and other.kind in ("ptr", "interface", "func", "map", "slice"):
            return True
        if self.unknown:
            return other.unknown
        return other.unknown or (not self.is_nil and self.name == other.name)

    def comparable_to(self, other: Nature) -> bool:
        pairs = (self, other)
        return (
            any(n.unknown or n.is_nil for n in pairs)
            or all(n.is_number for n in pairs)
            or all(n.is_list for n in pairs)
            or self.assignable_to(other)
        )


UNKNOWN = Nature()
NIL = Nature("nil", "invalid")
BOOL, INT, FLOAT, STRING = (
    Nature("bool", "bool"),
    Nature("int", "int"),
    Nature("float64", "float64"),
    Nature("string", "string"),
)
TIME, DURATION = Nature("time.Time", "struct"), Nature("time.Duration", "int64")
LOCATION = Nature("*time.Location", "ptr")
MAP = Nature(DICT, "map")
ANY_MAP = Nature("map[interface {}]interface {}", "map")
LIST = Nature("[]interface {}", "slice")


def list_of(element: Nature) -> Nature:
    """A list, created by the language, with members of one type."""
    return Nature("[]interface {}", "slice", element)


def named(name: str) -> Nature:
    """The nature of a Go type by its name."""
    if name == ANY:
        return Nature(ANY, "interface")
    if name.startswith("[]"):
        return Nature(name, "slice", named(name[2:]))
    if name.startswith("map["):
        return Nature(name, "map", named(name.partition("]")[2]))
    kinds = {"time.Time": "struct", "time.Duration": "int64", "time.Month": "int", "time.Weekday": "int"}
    return Nature(name, kinds.get(name, "ptr" if name.startswith("*") else name))


def of(value: Any) -> Nature:
    """The nature of an existing value."""
    if value is None:
        return NIL
    if isinstance(value, Function):
        return Nature(type_name(value), "func", function=value)
    if isinstance(value, (Mapping, list)):
        return named(type_name(value))
    return Nature(type_name(value), kind(value))


def misfit(given: Nature, wanted: str, name: str) -> str:
    """Why an argument doesn't fit its parameter; "" if it does, or may."""
    expected = named(wanted)
    if given.unknown or expected.unknown:
        return ""
    if given.is_integer and (expected.is_integer or expected == FLOAT):
        return ""
    if given.is_nil:
        return "" if expected.kind == "ptr" else f"cannot use nil as argument (type {wanted}) to call {name}"
    if not given.assignable_to(expected):
        return f"cannot use {given} as argument (type {wanted}) to call {name} "
    return ""
