"""The functions that take a predicate: `filter(list, # > 1)`. `one` computes it for an item and its index."""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.operators import OPERATORS, less
from kubeproc.argo.language.values import Map, type_name

One = Callable[..., Any]


def _holds(result: Any) -> bool:
    if not isinstance(result, bool):
        raise Panic(f"interface conversion: interface {{}} is {type_name(result).replace('<nil>', 'nil')}, not bool")
    return result


def _all(items: list[Any], one: One) -> bool:
    return all(_holds(one(item, i)) for i, item in enumerate(items))


def _any(items: list[Any], one: One) -> bool:
    return any(_holds(one(item, i)) for i, item in enumerate(items))


def _filter(items: list[Any], one: One) -> list[Any]:
    return [item for i, item in enumerate(items) if _holds(one(item, i))]


def _count(items: list[Any], one: One | None) -> int:
    return sum(_holds(one(item, i) if one else item) for i, item in enumerate(items))


def _sum(items: list[Any], one: One | None) -> Any:
    total: Any = 0
    for i, item in enumerate(items):
        total = OPERATORS["+"](one(item, i) if one else item, total)
    return total


def _index(items: list[Any], one: One, backwards: bool = False) -> int | None:
    order = range(len(items) - 1, -1, -1) if backwards else range(len(items))
    return next((i for i in order if _holds(one(items[i], i))), None)


def _found(backwards: bool) -> Callable[[list[Any], One], Any]:
    def find(items: list[Any], one: One) -> Any:
        index = _index(items, one, backwards)
        return None if index is None else items[index]

    return find


def _group(items: list[Any], one: One) -> Map:
    groups: dict[Any, list[Any]] = {}
    for i, item in enumerate(items):
        key = one(item, i)
        if isinstance(key, (list, dict)):
            raise Panic(f"runtime error: hash of unhashable type {type_name(key)}")
        groups.setdefault(key, []).append(item)
    return Map(groups, "map[interface {}][]interface {}")


def _compare(a: Any, b: Any) -> int:
    return -1 if less(a, b) else int(less(b, a))


def sort(values: list[Any], order: Any) -> list[int]:
    """The positions of the values in sorted order."""
    if order not in ("asc", "desc"):
        raise Panic("unknown order, use asc or desc")

    def by_value(i: int, j: int) -> int:
        return _compare(values[i], values[j])

    return sorted(range(len(values)), key=cmp_to_key(by_value), reverse=order == "desc")


def _sort_by(items: list[Any], one: One, order: Any = "asc") -> list[Any]:
    if not isinstance(order, str):
        raise Panic(f"interface conversion: interface {{}} is {type_name(order)}, not string")
    values = [one(item, i) for i, item in enumerate(items)]
    return [items[i] for i in sort(values, order)]


def _reduce(items: list[Any], one: One, *start: Any) -> Any:
    if not start and not items:
        raise Panic("reflect: slice index out of range")
    gathered = start[0] if start else items[0]
    for i in range(0 if start else 1, len(items)):
        gathered = one(items[i], i, gathered)
    return gathered


PREDICATES: dict[str, Callable[..., Any]] = {
    "all": _all,
    "any": _any,
    "none": lambda items, one: not _any(items, one),
    "one": lambda items, one: _count(items, one) == 1,
    "filter": _filter,
    "map": lambda items, one: [one(item, i) for i, item in enumerate(items)],
    "count": _count,
    "sum": _sum,
    "find": _found(False),
    "findLast": _found(True),
    "findIndex": lambda items, one: _index(items, one),
    "findLastIndex": lambda items, one: _index(items, one, True),
    "groupBy": _group,
    "sortBy": _sort_by,
    "reduce": _reduce,
}
