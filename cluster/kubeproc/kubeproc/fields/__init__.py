"""Every field of a manifest, and how the embedded cluster treats it: it is supported, refused, or accepted without
effect.

The tables (`pod`, `workloads`, `workflow`) are the only place that decides this. Admission and the validation of
workflows refuse fields by these tables, `docs/differences.md` is generated from them (`page`), and a test compares them
with the schemas of Kubernetes, the training operator and Argo, so that a field missing from the tables fails the suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Test = Callable[[Any], Any]


@dataclass(frozen=True)
class Field:
    """How one field is treated. `type` names the table of its value, or of the items if that is a list or map.
    `refused` tests whether a value is refused; `words` describes those values if it is not all of them; `hint` names an
    alternative. `ignored` says why the field has no effect."""

    type: str = ""
    refused: Test | None = None
    words: str = ""
    hint: str = ""
    ignored: str = ""


Table = dict[str, Field]


def done(names: str = "", **types: str) -> Table:
    """Fields that are supported; `types` names the tables of those that have fields of their own."""
    return {name: Field() for name in names.split()} | {name: Field(type) for name, type in types.items()}


def refused(names: str, hint: str = "") -> Table:
    """Fields that are refused unless their value is empty: false, zero, an empty text, list or object."""
    return {name: Field(refused=bool, hint=hint) for name in names.split()}


def refused_always(names: str, hint: str = "") -> Table:
    """Fields that are refused whatever their value: group 0 is a group, and `{}` for a pointer in Go is not nil."""
    return {name: Field(refused=lambda value: True, hint=hint) for name in names.split()}


def ignored(why: str, names: str) -> Table:
    return {name: Field(ignored=why) for name in names.split()}


def other_than(*allowed: Any) -> Test:
    return lambda value: value not in allowed


def one_of(*values: Any) -> Test:
    return lambda value: value in values


def first_refused(
    tables: Mapping[str, Table], type: str, value: Any, path: str, *, by_name: bool = False
) -> tuple[str, str] | None:
    """The path of the first field in `value` that is refused, and its hint; None if no field is refused. `by_name`
    writes an item of a list by its name, as Argo does, instead of its position."""
    return next(_refused(tables, type, value, path, by_name), None)


def _refused(tables: Mapping[str, Table], type: str, value: Any, path: str, by_name: bool) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        return
    for name, entry in tables[type.removeprefix("{}")].items():
        if (found := value.get(name)) is None:
            continue
        here = f"{path}.{name}" if path else name
        if entry.refused and entry.refused(found):
            yield here, entry.hint
        elif entry.type:
            for place, item in _items(found, here, entry.type.startswith("{}"), by_name):
                yield from _refused(tables, entry.type, item, place, by_name)


def _items(value: Any, path: str, is_map: bool, by_name: bool) -> Iterator[tuple[str, Any]]:
    """The objects in a field's value, with their paths: itself, those of a list (of lists), those of a map."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            named = by_name and isinstance(item, dict) and item.get("name")
            yield from _items(
                item, f"{path}.{item['name']}" if named else f"{path}[{i}]", is_map=False, by_name=by_name
            )
    elif is_map and isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}[{key}]", item
    else:
        yield path, value
