"""An object's fields as sets of paths: the set operations behind server-side apply.

A path is a tuple of elements in the notation of `fieldsV1`: `f:NAME` a field, `k:{"name":"x"}` an item of a list that
is a map, `v:VALUE` one of a list that is a set. Lists that are neither, and atomic maps, are one value (semantics of
sigs.k8s.io/structured-merge-diff).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from kubeproc.api.schema.schemas import ANY, Schema

Path = tuple[str, ...]
Fields = set[Path]

MEMBER = object()  # the value of a path that denotes an item or map itself
KEY_DEFAULTS = {"protocol": "TCP"}  # of keys that may be omitted


def leaves(schema: Schema, value: Any) -> dict[Path, Any]:
    """Every path of an object, with its value if the path is a leaf."""
    found: dict[Path, Any] = {}
    _walk(schema, value, (), found)
    return found


def field_schema(schema: Schema, name: str) -> Schema:
    return schema.items if schema.kind == "map" else schema.field(name) or ANY


def granular(schema: Schema, value: Any) -> bool:
    """Whether the value is an object or map whose fields are owned one by one."""
    return isinstance(value, dict) and not schema.atomic and schema.kind in ("object", "map", "any")


def keyed(schema: Schema, value: Any) -> bool:
    """Whether the value is a list whose items are owned one by one, found by their keys."""
    return isinstance(value, list) and schema.list_type == "map" and all(isinstance(v, dict) for v in value)


def _walk(schema: Schema, value: Any, path: Path, found: dict[Path, Any]) -> None:
    if granular(schema, value) and value:
        for name, inner in value.items():
            here = (*path, "f:" + name)
            _walk(field_schema(schema, name), inner, here, found)
            if name not in schema:
                found.setdefault(here, MEMBER)
    elif keyed(schema, value) and value:
        for item in value:
            here = (*path, key_of(schema, item))
            found[here] = MEMBER
            _walk(schema.items, item, here, found)
    elif isinstance(value, list) and schema.list_type == "set" and value:
        for item in value:
            found[(*path, "v:" + compact(item))] = item
    elif path:
        found[path] = value


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def key_of(schema: Schema, item: dict[str, Any]) -> str:
    """The path element of an item of a keyed list."""
    keys = {k: item.get(k, KEY_DEFAULTS.get(k)) for k in schema.map_keys if k in item or k in KEY_DEFAULTS}
    return "k:" + compact(keys)


def compare(schema: Schema, old: Any, new: Any) -> tuple[Fields, Fields]:
    """The removed paths, and the added or changed ones."""
    before, after = leaves(schema, old), leaves(schema, new)
    changed = {p for p, v in after.items() if p not in before or before[p] != v}
    return set(before) - set(after), changed


def with_parents(fields: Iterable[Path]) -> Fields:
    return {path[:i] for path in fields for i in range(1, len(path) + 1)}


def text(path: Path) -> str:
    """The path as conflicts write it: `.spec.template.spec.containers[name="nginx"].image`."""
    words = []
    for element in path:
        kind, rest = element[:2], element[2:]
        if kind == "f:":
            words.append("." + rest)
        elif kind == "k:":
            words.append("[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(rest).items()) + "]")
        else:
            words.append(f"[={rest}]")
    return "".join(words)


def to_json(fields: Fields) -> dict[str, Any]:
    """The set as `fieldsV1`."""
    tree: dict[str, Any] = {}
    for path in sorted(fields):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return _lean(tree)


def _lean(tree: dict[str, Any]) -> dict[str, Any]:
    return {} if tree.keys() == {"."} else {k: _lean(v) if k != "." else {} for k, v in tree.items()}


def from_json(tree: Any, path: Path = ()) -> Fields:
    if not isinstance(tree, dict):
        return set()
    if not tree:
        return {path} if path else set()
    found: Fields = set()
    for element, inner in tree.items():
        found |= {path} if element == "." else from_json(inner, (*path, element))
    return found


# -- merging and removing ----------------------------------------------------------------------------------------------


def merge(schema: Schema, live: Any, config: Any) -> Any:
    """`live` with all fields of `config`; neither is modified."""
    if granular(schema, live) and granular(schema, config):
        made = dict(live)
        for name, inner in config.items():
            made[name] = merge(field_schema(schema, name), live[name], inner) if name in live else inner
        return made
    if keyed(schema, live) and keyed(schema, config):
        return _merge_items(schema, live, config)
    if isinstance(live, list) and isinstance(config, list) and schema.list_type == "set":
        return live + [v for v in config if v not in live]
    return config


def _merge_items(schema: Schema, live: list[Any], config: list[Any]) -> list[Any]:
    """The configuration's items in its order, the other items at their positions."""
    have = {key_of(schema, item): item for item in live}
    wanted = [(key_of(schema, item), item) for item in config]
    names, made, at = {k for k, _ in wanted}, [], 0
    for key, item in have.items():
        if key not in names:
            made.append(item)
            continue
        while at < len(wanted) and key in {k for k, _ in wanted[at:]}:
            other, new = wanted[at]
            made.append(merge(schema.items, have[other], new) if other in have else new)
            at += 1
    return made + [merge(schema.items, have[k], new) if k in have else new for k, new in wanted[at:]]


def prune(schema: Schema, value: Any, gone: Fields, kept: Fields, path: Path = ()) -> Any:
    """The value without the paths in `gone`; those in `kept`, and their parents, stay."""
    if granular(schema, value):
        made = {}
        for name, inner in value.items():
            here = (*path, "f:" + name)
            if here not in gone or here in kept:
                made[name] = prune(field_schema(schema, name), inner, gone, kept, here)
        return made
    if keyed(schema, value):
        items = [(item, (*path, key_of(schema, item))) for item in value]
        return [prune(schema.items, i, gone, kept, p) for i, p in items if p not in gone or p in kept]
    if isinstance(value, list) and schema.list_type == "set":
        return [v for v in value if (p := (*path, "v:" + compact(v))) not in gone or p in kept]
    return value
