"""Strategic merge patch: a merge patch that treats some lists as maps.

Lists with `x-kubernetes-patch-strategy: merge` are merged item by item, found by their merge key; others are replaced.
Directives: `$patch: replace|delete`, `$retainKeys`, `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`. Items
of the patch are in the patch's order; items that only the object has keep theirs (semantics of
k8s.io/apimachinery/pkg/util/strategicpatch, Kubernetes 1.34).
"""

from __future__ import annotations

from typing import Any

from kubeproc.api.schema.schemas import ANY, Schema
from kubeproc.api_errors import ApiError, bad_request

Map = dict[str, Any]
PATCH, RETAIN = "$patch", "$retainKeys"
DELETE_FROM, ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"


def failed(text: str) -> ApiError:
    """The error for an invalid strategic merge patch: 500, as upstream."""
    return ApiError(500, "", text)


def merge(original: Map, patch: Map, schema: Schema) -> Map:
    """`original` with `patch` merged in; both may be modified. ApiError 400 or 500 for an invalid patch, as
    upstream."""
    if PATCH in patch:
        return _directive(patch)
    _retain(original, patch)
    orders = {k.removeprefix(ORDER): patch.pop(k) for k in list(patch) if k.startswith(ORDER)}
    removals = {k.removeprefix(DELETE_FROM): patch.pop(k) for k in list(patch) if k.startswith(DELETE_FROM)}
    for name, gone in removals.items():
        have = original.get(name)
        if not isinstance(gone, list) or (have is not None and not isinstance(have, list)):
            raise bad_request("invalid patch format of primitive list")
        if have is not None:
            original[name] = [v for v in have if v not in gone]
    before = {name: list(original[name]) for name in orders if isinstance(original.get(name), list)}
    for name, change in patch.items():
        _field(original, name, change, _field_schema(schema, name))
    for name, order in orders.items():
        _reorder(original, name, order, before.get(name, []), patch.get(name), _field_schema(schema, name).merge_key)
    return original


def _field_schema(schema: Schema, name: str) -> Schema:
    if schema.kind == "map":
        return schema.items
    return schema.field(name) or ANY


def _directive(patch: Map) -> Map:
    if patch[PATCH] == "replace":
        return {k: v for k, v in patch.items() if k != PATCH}
    if patch[PATCH] == "delete":
        return {}
    if patch[PATCH] == "merge":
        raise failed("merging maps cannot yet be specified in the patch")
    raise failed(f"unknown patch type: {patch[PATCH]} in map: {go_map(patch)}")


def _retain(original: Map, patch: Map) -> None:
    keys = patch.pop(RETAIN, None)
    if keys is None:
        return
    named = [k for k, v in patch.items() if v is not None and not k.startswith((DELETE_FROM, ORDER))]
    if not isinstance(keys, list) or any(k not in keys for k in named):
        raise bad_request("invalid patch format of retainKeys")
    for name in [k for k in original if k not in keys]:
        del original[name]


def _field(original: Map, name: str, change: Any, schema: Schema) -> None:
    if change is None:
        original.pop(name, None)
        return
    have = original.get(name)
    if isinstance(have, dict) and isinstance(change, dict):
        original[name] = change if "replace" in schema.strategy else merge(have, change, schema)
    elif isinstance(have, list) and isinstance(change, list) and "merge" in schema.strategy:
        original[name] = _list(have, change, schema)
    elif isinstance(have, list) and isinstance(change, list):
        original[name] = change
    else:
        clean = _clean(change)
        if clean is None:
            original.pop(name, None)
        else:
            original[name] = clean


def _clean(value: Any) -> Any:
    """A part of the patch without a counterpart in the object: without nulls and directives, None if it is one
    itself."""
    if isinstance(value, dict):
        if PATCH in value:
            return None
        made = {k: _clean(v) for k, v in value.items() if not k.startswith((ORDER, DELETE_FROM)) and k != RETAIN}
        return {k: v for k, v in made.items() if v is not None}
    if isinstance(value, list):
        return [c for v in value if (c := _clean(v)) is not None]
    return value


def _list(have: list[Any], change: list[Any], schema: Schema) -> list[Any]:
    if not have and not change:
        return have
    kinds = {type(v) for v in [*have, *change]}
    if list in kinds:
        raise ApiError(422, "", "lists of lists are not supported")
    if dict not in kinds:
        merged = list(have)
        merged += [v for i, v in enumerate(change) if v not in have and v not in change[:i]]
        return _ordered(merged, change, have, "")
    if kinds != {dict}:
        raise failed("list element types are not identical")
    key = schema.merge_key
    if not key:
        raise failed(f"cannot merge lists without merge key for {schema.go}")
    return _ordered(_maps(have, change, key, schema.items), [c for c in change if PATCH not in c], have, key)


def go_map(value: Any) -> str:
    """A value as Go prints a map: `map[a:1 b:[x y]]`."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{go_map(v)}" for k, v in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(go_map, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "<nil>" if value is None else str(value)


def _maps(have: list[Map], change: list[Map], key: str, schema: Schema) -> list[Map]:
    merged = list(have)
    for item in change:
        directive = item.get(PATCH)
        if directive == "replace":
            return [_clean(c) for c in change if PATCH not in c]
        if directive not in (None, "delete"):
            raise failed(f"unknown patch type: {directive} in map: {go_map(item)}")
        if key not in item:
            raise failed(f"map: {go_map(item)} does not contain declared merge key: {key}")
    for item in change:
        if PATCH in item:
            merged = [m for m in merged if m.get(key) != item[key]]
    for item in change:
        if PATCH in item:
            continue
        at = next((i for i, m in enumerate(merged) if m.get(key) == item[key]), None)
        if at is None:
            merged.append(_clean(item))
        else:
            merged[at] = merge(merged[at], item, schema)
    return merged


def _reorder(original: Map, name: str, order: Any, before: list[Any], patch: Any, key: str) -> None:
    if not isinstance(order, list):
        raise bad_request("invalid patch format of setElementOrder list")
    have = original.get(name)
    if not isinstance(have, list):
        return
    if isinstance(patch, list):
        listed = [_identity(o, key) for o in order]
        for item in patch:
            deleted = isinstance(item, dict) and item.get(PATCH)
            if not deleted and _identity(item, key) not in listed:
                raise failed(f"The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")
    original[name] = _ordered(have, order, before, key)


def _identity(item: Any, key: str) -> Any:
    return item.get(key) if key and isinstance(item, dict) else item


def _ordered(merged: list[Any], patch: list[Any], server: list[Any], key: str) -> list[Any]:
    """The patch's items in its order merged with the other items in the server's order: another item goes before the
    next item of the patch only if the two are in this order on the server."""
    named = [_identity(p, key) for p in patch]
    was = [_identity(s, key) for s in server]
    ours = sorted((m for m in merged if _identity(m, key) in named), key=lambda m: named.index(_identity(m, key)))
    others = [m for m in merged if _identity(m, key) not in named]
    result: list[Any] = []
    while ours and others:
        left, right = _identity(others[0], key), _identity(ours[0], key)
        first = left in was and right in was and was.index(left) < was.index(right)
        result.append((others if first else ours).pop(0))
    return result + ours + others
