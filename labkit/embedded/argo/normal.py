"""Workflows as Go's structs write them: the fields that are always there, empty or not.

Whoever reads a workflow that came through the Argo Server finds `arguments`, `inputs`, `outputs` and `metadata` even where
nobody wrote them.
"""

from __future__ import annotations

from typing import Any

from labkit.embedded.argo import types
from labkit.embedded.argo.grpc import INVALID, Refusal

Object = dict[str, Any]


def fitted(value: Any, kind: Any, name: str) -> Any:
    """A part of a request's body, as its type wants it. Refusal in the words of Go's decoder."""
    try:
        return types.fit({} if value is None else value, kind, name)
    except types.WrongType as error:
        raise Refusal(INVALID, str(error)) from error


def workflow(given: Object, name: str = "workflow") -> Object:
    """A Workflow or WorkflowTemplate with what Go's struct always has."""
    obj: Object = fitted(given, types.WORKFLOW, name)
    obj.setdefault("metadata", {})
    spec = obj.setdefault("spec", {})
    spec.setdefault("arguments", {})
    for template in spec.get("templates") or []:
        _fill(template)
    return obj


def refilled(obj: Object) -> Object:
    """A workflow of which parts were left out: Go's struct writes these fields nevertheless."""
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
