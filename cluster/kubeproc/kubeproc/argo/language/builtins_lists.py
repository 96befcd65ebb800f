"""The language's functions on lists and maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeproc.argo.language import predicates, times
from kubeproc.argo.language.builtins_texts import string
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.formats import text
from kubeproc.argo.language.operators import as_int
from kubeproc.argo.language.quoting import encoded
from kubeproc.argo.language.values import Int, Map, Slice, equal, is_list, kind, like, type_name


def _kind(value: Any) -> str:
    return "invalid" if value is None else kind(value)


def _need_list(value: Any, words: str) -> list[Any]:
    if not is_list(value):
        raise Panic(f"cannot {words} {_kind(value)}")
    found: list[Any] = value
    return found


def length(value: Any) -> int:
    if isinstance(value, (str, list, Mapping)):
        return len(value)
    raise Panic(f"invalid argument for len (type {type_name(value)})")


def first(items: Any) -> Any:
    return _item(items, 0)


def last(items: Any) -> Any:
    return _item(items, -1)


def _item(items: Any, index: int) -> Any:
    data = encoded(items) if isinstance(items, str) else items if isinstance(items, list) else ()
    if not data:
        return None
    return Int(data[index], "uint8") if isinstance(items, str) else data[index]


def get(owner: Any, key: Any) -> Any:
    """A member, or nil if the owner has no such member."""
    if owner is None:
        return None
    method = times.method(owner, key)
    if method:
        return method
    if isinstance(owner, (list, str)):
        data = encoded(owner) if isinstance(owner, str) else owner
        index = as_int(key)
        if not -len(data) <= index < len(data):
            return None
        return Int(data[index], "uint8") if isinstance(owner, str) else data[index]
    if isinstance(owner, Mapping):
        typed = str(getattr(owner, "go_type", "")).startswith("map[interface")
        if not isinstance(key, str) and key is not None and not typed:
            raise Panic(f"reflect.Value.MapIndex: value of type {type_name(key)} is not assignable to type string")
        return owner.get("" if key is None and not typed else key)
    return None


def take(items: Any, size: Any) -> Any:
    found = _need_list(items, "take from")
    if not isinstance(size, int) or isinstance(size, bool) or str(getattr(size, "go_type", "")).startswith("uint"):
        raise Panic(f"cannot take {_kind(size)} elements")
    if size < 0:
        raise Panic("reflect.Value.Slice: slice index out of bounds")
    return like(found, found[:size])


def _need_map(value: Any, words: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise Panic(words.format(_kind(value)))
    return value


def keys(mapping: Any) -> list[Any]:
    return list(_need_map(mapping, "cannot get keys from {}"))


def values(mapping: Any) -> list[Any]:
    return list(_need_map(mapping, "cannot get values from {}").values())


def to_pairs(mapping: Any) -> Slice:
    found = _need_map(mapping, "cannot transform {} to pairs")
    return Slice([Slice(pair, size=2) for pair in found.items()], "[2]interface {}")


def from_pairs(pairs: Any) -> Map:
    if not is_list(pairs):
        raise Panic(f"cannot transform {text(pairs)} from pairs")
    made: dict[Any, Any] = {}
    for pair in pairs:
        if not is_list(pair):
            raise Panic(f"invalid pair {text(pair)}")
        if len(pair) != 2:
            raise Panic(f"invalid pair length {text(pair)}")
        if isinstance(pair[0], (list, dict)):
            raise Panic(f"runtime error: hash of unhashable type {type_name(pair[0])}")
        made[pair[0]] = pair[1]
    return Map(made, "map[interface {}]interface {}")


def reverse(items: Any) -> list[Any]:
    return list(_need_list(items, "reverse"))[::-1]


def uniq(items: Any) -> list[Any]:
    found: list[Any] = []
    for item in _need_list(items, "uniq"):
        if not any(equal(item, other) for other in found):
            found.append(item)
    return found


def concat(*lists: Any) -> list[Any]:
    found = [item for items in lists for item in _need_list(items, "concat")]
    return found or Slice(missing=True)


def flatten(items: Any) -> list[Any]:
    found: list[Any] = []
    for item in _need_list(items, "flatten"):
        found += flatten(item) if is_list(item) else [item]
    return found


def sort(items: Any, order: Any = "asc") -> list[Any]:
    known = is_list(items) and getattr(items, "element", "interface {}") in ("interface {}", "int", "float64", "string")
    found = list(items) if known else []
    if string(order) not in ("asc", "desc"):
        raise Panic(f"invalid order {order}, expected asc or desc")
    made = [found[i] for i in predicates.sort(found, order)]
    return made if known else Slice(missing=True)
