"""Tables: the server computes what `kubectl get` prints, as `Table` objects of meta.k8s.io/v1.

Mechanism. `columns.COLUMNS` has, for each kind, its columns and a function that returns one object's cells, in the same
order; columns of priority 1 are shown only by `-o wide`. A row has its object (whole, as PartialObjectMetadata, or not
at all), depending on the client's `includeObject`. Times are shown as ages, in the format of apimachinery's
duration.HumanDuration. A kind without an entry shows its name and creation time, or its age if it is a custom resource.

Sources: pkg/printers/internalversion/printers.go and the `Table` type of Kubernetes 1.34; the columns of custom
resources from the CustomResourceDefinitions of training-operator 1.9 and Argo Workflows 3.7.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kubeproc.api.tables.columns import BUILT_IN, COLUMNS, CUSTOM, Column
from kubeproc.api_errors import ApiError
from kubeproc.resources import Resource

INCLUDE = ("None", "Metadata", "Object")
META_VERSION = "meta.k8s.io/v1"


def to_table(
    resource: Resource,
    objects: Iterable[Mapping[str, Any]],
    include_object: str = "Metadata",
    metadata: Mapping[str, Any] | None = None,
    *,
    headers: bool = True,
) -> dict[str, Any]:
    """The objects of `resource` as a `Table`.

    `include_object` is None, Metadata or Object (400 otherwise; empty means Metadata); `metadata` is the list's
    (resourceVersion, continue), by default that of a single object. Without `headers` there are no columnDefinitions:
    for all tables of a watch except the first.
    """
    include_object = include_object or "Metadata"
    if include_object not in INCLUDE:
        quoted = ", ".join(f'"{word}"' for word in sorted(INCLUDE))
        message = f'includeObject: Unsupported value: "{include_object}": supported values: {quoted}'
        raise ApiError(400, "BadRequest", message)
    objects = list(objects)
    if metadata is None and len(objects) == 1:
        metadata = {"resourceVersion": objects[0]["metadata"].get("resourceVersion", "")}
    columns, cells = COLUMNS.get(resource.qualified) or (CUSTOM if resource.custom else BUILT_IN)
    rows = [{"cells": cells(obj)} | _conditions(obj) | _carried(obj, include_object) for obj in objects]
    definitions = [_definition(column) for column in columns] if headers else []
    return {
        "kind": "Table",
        "apiVersion": META_VERSION,
        "metadata": dict(metadata or {}),
        "columnDefinitions": definitions,
        "rows": rows,
    }


def partial(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The object's PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": META_VERSION, "metadata": obj.get("metadata") or {}}


def _definition(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _carried(obj: Mapping[str, Any], include_object: str) -> dict[str, Any]:
    if include_object == "None":
        return {"object": None}
    return {"object": obj if include_object == "Object" else partial(obj)}


def _conditions(obj: Mapping[str, Any]) -> dict[str, Any]:
    """A finished pod's row has a condition, so that clients can hide it."""
    if obj.get("kind") != "Pod":
        return {}
    words = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}
    phase = (obj.get("status") or {}).get("phase")
    if phase not in words:
        return {}
    return {"conditions": [{"type": "Completed", "status": "True", "reason": phase, "message": words[phase]}]}
