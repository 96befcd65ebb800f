"""sprig's functions on lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubeproc.argo.language.evaluator import like
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.sprig.casts import empty, whole
from kubeproc.argo.language.values import Slice, deep_equal, kind

_NIL = "runtime error: invalid memory address or nil pointer dereference"


def _need(value: Any, words: str) -> list[Any]:
    if value is None:
        raise Panic(_NIL)
    if not isinstance(value, list):
        raise Panic(words.format(kind(value)))
    return value


def _nothing() -> Slice:
    return Slice(missing=True)


def _first(items: Any) -> Any:
    found = _need(items, "Cannot find first on type {}")
    return found[0] if found else None


def _last(items: Any) -> Any:
    found = _need(items, "Cannot find last on type {}")
    return found[-1] if found else None


def _rest(items: Any) -> list[Any]:
    return list(_need(items, "Cannot find rest on type {}"))[1:] or ([] if items else _nothing())


def _initial(items: Any) -> list[Any]:
    return list(_need(items, "Cannot find initial on type {}"))[:-1] or ([] if items else _nothing())


def _in(items: list[Any], value: Any) -> bool:
    return any(deep_equal(value, item) for item in items)


def _uniq(items: Any) -> list[Any]:
    found: list[Any] = []
    for item in _need(items, "Cannot find uniq on type {}"):
        if not _in(found, item):
            found.append(item)
    return found


def _has(value: Any, items: Any) -> bool:
    return items is not None and _in(_need(items, "Cannot find has on type {}"), value)


def _slice(items: Any, *bounds: Any) -> Any:
    found = _need(items, "list should be type of slice or array but {}")
    if not found:
        return None
    start = whole(bounds[0]) if bounds else 0
    end = whole(bounds[1]) if len(bounds) > 1 else len(found)
    if not 0 <= start <= end <= len(found):
        raise Panic("reflect.Value.Slice: slice index out of bounds")
    return like(found, list(found)[start:end])


def _concat(*lists: Any) -> list[Any]:
    found = [item for items in lists for item in _need(items, "Cannot concat type {} as list")]
    return found or _nothing()


def _chunk(size: int, items: Any) -> Slice:
    found = _need(items, "Cannot chunk type {}")
    if size <= 0:
        raise Panic("runtime error: makeslice: len out of range")
    return Slice([list(found[i : i + size]) for i in range(0, len(found), size)], "[]interface {}")


def _push(items: Any, value: Any) -> list[Any]:
    return [*_need(items, "Cannot push on type {}"), value]


def _prepend(items: Any, value: Any) -> list[Any]:
    return [value, *_need(items, "Cannot prepend on type {}")]


def _reverse(items: Any) -> list[Any]:
    return list(_need(items, "Cannot find reverse on type {}"))[::-1]


def _without(items: Any, *others: Any) -> list[Any]:
    return [item for item in _need(items, "Cannot find without on type {}") if not _in(list(others), item)]


def _compact(items: Any) -> list[Any]:
    return [item for item in _need(items, "Cannot compact on type {}") if not empty(item)]


def _list(*values: Any) -> list[Any]:
    return list(values)


# The functions that have a twin `must...`, which differs only in what a template would do with its error.
_TWINS: dict[str, tuple[str, Callable[..., Any]]] = {
    "append": ("any any", _push), "push": ("any any", _push), "prepend": ("any any", _prepend), "first": ("any", _first),
    "last": ("any", _last), "rest": ("any", _rest), "initial": ("any", _initial), "reverse": ("any", _reverse),
    "uniq": ("any", _uniq), "without": ("any ...any", _without), "has": ("any any", _has), "slice": ("any ...any", _slice),
    "compact": ("any", _compact), "chunk": ("int any", _chunk),
}  # fmt: skip

LISTS: dict[str, tuple[str, Any]] = {
    "list": ("...any", _list),
    "tuple": ("...any", _list),
    "concat": ("...any", _concat),
    **_TWINS,
    **{f"must{name[0].upper()}{name[1:]}": row for name, row in _TWINS.items()},
}
