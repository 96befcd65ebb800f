"""Workflows as Go's structs encode them: with the fields that are always present, even if empty.

A workflow that came through the Argo Server has `arguments`, `inputs`, `outputs` and `metadata` even if its author did
not set them.
"""

from __future__ import annotations

from typing import Any

from kubeproc.argo.server.grpc import INVALID, Refusal
from kubeproc.argo.templates import field_types

Object = dict[str, Any]


def fitted(value: Any, kind: Any, name: str) -> Any:
    """A part of a request's body, converted to its type. Refusal with the message of Go's decoder."""
    try:
        return field_types.fit({} if value is None else value, kind, name)
    except field_types.WrongType as error:
        raise Refusal(INVALID, str(error)) from error


def workflow(given: Object, name: str = "workflow") -> Object:
    """A Workflow or WorkflowTemplate with the fields that Go's struct always has."""
    obj: Object = fitted(given, field_types.WORKFLOW, name)
    obj.setdefault("metadata", {})
    spec = obj.setdefault("spec", {})
    spec.setdefault("arguments", {})
    for template in spec.get("templates") or []:
        _fill(template)
    return obj


def refilled(obj: Object) -> Object:
    """A workflow without its excluded parts: Go's struct still writes these fields."""
    return obj | {
        "metadata": {"creationTimestamp": None} | (obj.get("metadata") or {}),
        "spec": {"arguments": {}} | (obj.get("spec") or {}),
        "status": {"startedAt": None, "finishedAt": None} | (obj.get("status") or {}),
    }


def _fill(template: Object) -> None:
    for field in ("inputs", "outputs", "metadata"):
        template.setdefault(field, {})
    tasks = (template.get("dag") or {}).get("tasks") or []
    for call in (*(c for group in template.get("steps") or [] for c in group), *tasks):
        call.setdefault("arguments", {})
    for field in ("container", "script"):
        if field in template:
            template[field] = {"name": "", "resources": {}} | template[field]
