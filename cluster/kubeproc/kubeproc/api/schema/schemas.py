"""What each kind's fields are: the schemas of Kubernetes 1.34, and those of the custom resources, read when needed.

Kubernetes' come from the JSON files that the package `kubernetes_validate` carries, one per type, found by the names in
their `$ref`s; the package itself is not imported. A type is read when the first object reaches it, and kept without
its descriptions, so that a server that has seen pods and jobs holds some hundred small types and not the 700 there are.
Those of custom resources are what their CustomResourceDefinitions say, pruning included (`upstream/custom_resources.json`).
"""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kubeproc import upstream
from kubeproc.errors import HintedError
from kubeproc.resources import Resource

VERSION = "v1.34.0-local"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
CUSTOM = "custom."
SPECIAL = {  # definitions whose Go type decodes in a way of its own: kind, Go's name
    "io.k8s.apimachinery.pkg.api.resource.Quantity": ("quantity", "resource.Quantity"),
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": ("intorstring", "intstr.IntOrString"),
    "io.k8s.apimachinery.pkg.runtime.RawExtension": ("any", "runtime.RawExtension"),
    META + "Time": ("time", "v1.Time"),
    META + "MicroTime": ("time", "v1.MicroTime"),
    META + "FieldsV1": ("any", "v1.FieldsV1"),
}
GROUPS = {  # how the schemas' names call the groups
    "": "core",
    "rbac.authorization.k8s.io": "rbac",
    "discovery.k8s.io": "discovery",
    "storage.k8s.io": "storage",
    "coordination.k8s.io": "coordination",
    "authorization.k8s.io": "authorization",
    "authentication.k8s.io": "authentication",
}


@dataclass(eq=False)
class Schema:
    """One type. `kind` is object, map, list, string, integer, number, boolean, bytes, quantity, intorstring, time or any
    (whatever JSON holds, kept as it is). `go` is Go's name of it, `struct` that of a struct: error texts have them."""

    kind: str
    go: str = ""
    struct: str = ""
    format: str = ""
    required: tuple[str, ...] = ()
    merge_key: str = ""  # of a list: x-kubernetes-patch-merge-key
    strategy: frozenset[str] = frozenset()  # x-kubernetes-patch-strategy: merge, replace, retainKeys
    list_type: str = ""  # atomic, set or map
    map_keys: tuple[str, ...] = ()
    atomic: bool = False  # x-kubernetes-map-type
    _fields: dict[str, Any] = field(default_factory=dict)
    _items: Any = None

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def __iter__(self) -> Any:
        return iter(self._fields)

    def field(self, name: str) -> Schema | None:
        """The schema of a field of an object, or None where it has none of that name."""
        found = self._fields.get(name)
        if isinstance(found, Mapping):
            found = self._fields[name] = _compile(found)
        return found

    @property
    def items(self) -> Schema:
        """The schema of a list's items or a map's values."""
        if isinstance(self._items, Mapping):
            self._items = _compile(self._items)
        return self._items or ANY


ANY = Schema("any", "interface {}")


@functools.cache
def folder() -> Path:
    """Where the JSON schemas of Kubernetes lie."""
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or not spec.submodule_search_locations:
        raise HintedError(
            "the package kubernetes-validate is not installed", "pip install kubeproc installs it, in this environment"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "kubernetes-json-schema" / VERSION


def of(resource: Resource) -> Schema:
    """The schema of a kind's objects."""
    if resource.custom:
        return definition(CUSTOM + resource.kind)
    group = GROUPS.get(resource.group, resource.group)
    return definition(f"io.k8s.api.{group}.{resource.version}.{resource.kind}")


@functools.cache
def definition(name: str) -> Schema:
    """The type of that name, as `$ref`s give it (`io.k8s.api.core.v1.PodSpec`); KeyError for an unknown name."""
    if name in SPECIAL:
        kind, go = SPECIAL[name]
        return Schema(kind, go)
    raw = _custom(name) if name.startswith(CUSTOM) else _load(_file(name))
    short = name.rsplit(".", 1)[1]
    return replace(_compile(raw), struct=short, go=".".join(name.rsplit(".", 2)[-2:]))


def _file(name: str) -> Path:
    parts = name.split(".")
    version, kind = parts[-2], parts[-1].lower()
    if name.startswith(META):
        return folder() / f"{kind}-meta-v1.json"
    group = parts[3] if name.startswith("io.k8s.api.") else parts[-3]
    return folder() / (f"{kind}-{version}.json" if group == "core" else f"{kind}-{group}-{version}.json")


def _custom(name: str) -> dict[str, Any]:
    kind = name.removeprefix(CUSTOM)
    schema: dict[str, Any] = _bare(upstream.read("custom_resources.json")["definitions"][kind])
    if kind == "WorkflowTaskResult":  # the executor repeats the template's outputs as they are written there
        schema["properties"]["outputs"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return schema


def _load(path: Path) -> dict[str, Any]:
    try:
        return _bare(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise KeyError(path.name) from None


def _bare(node: Any) -> Any:
    """The schema without what only people read. (A field may well be named `description`: those are kept.)"""
    if isinstance(node, list):
        return [_bare(n) for n in node]
    if not isinstance(node, dict):
        return node
    bare = {k: v for k, v in node.items() if k not in ("description", "$schema", "$id") or not isinstance(v, str)}
    properties = bare.pop("properties", None)
    made = {k: _bare(v) for k, v in bare.items()}
    if properties is not None:
        made["properties"] = {k: _bare(v) for k, v in properties.items()}
    return made


def _compile(raw: Mapping[str, Any]) -> Schema:
    extra: dict[str, Any] = {}
    if key := raw.get("x-kubernetes-patch-merge-key"):
        extra["merge_key"] = key
    if strategy := raw.get("x-kubernetes-patch-strategy"):
        extra["strategy"] = frozenset(strategy.split(","))
    if kind := raw.get("x-kubernetes-list-type"):
        extra["list_type"] = kind
    if keys := raw.get("x-kubernetes-list-map-keys"):
        extra["map_keys"] = tuple(keys)
    if raw.get("x-kubernetes-map-type") == "atomic":
        extra["atomic"] = True
    if "$ref" in raw:
        base = definition(raw["$ref"].rsplit("/", 1)[1])
        return replace(base, **extra) if extra else base
    return replace(_plain(raw), **extra)


def _plain(raw: Mapping[str, Any]) -> Schema:
    types = raw.get("type", "object" if "properties" in raw else "")
    kind = next((t for t in types if t != "null"), "") if isinstance(types, list) else types
    form = raw.get("format", "")
    if kind == "object" and raw.get("x-kubernetes-preserve-unknown-fields"):
        return Schema("any", "map[string]interface {}", format="object")
    if kind == "object" and "properties" in raw:
        return Schema("object", required=tuple(raw.get("required", ())), _fields=dict(raw["properties"]))
    if kind == "object" and "additionalProperties" in raw:
        values = _compile(raw["additionalProperties"])
        return Schema("map", f"map[string]{values.go}", _items=values)
    if kind == "array":
        items = _compile(raw["items"])
        return Schema("list", f"[]{items.go}", _items=items)
    if kind == "string" and form == "byte":
        return Schema("bytes", "[]uint8")
    go = {"string": "string", "boolean": "bool", "integer": form or "int64", "number": "float64"}.get(kind, "")
    return Schema(kind, go, format=form) if go else ANY
