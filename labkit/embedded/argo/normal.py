"""Workflows as Go's structs write them: the fields that are always there, empty or not.

Whoever reads a workflow that came through the Argo Server finds `arguments`, `inputs`, `outputs` and `metadata` even where
nobody wrote them.
"""

from __future__ import annotations

from typing import Any

from labkit.embedded.argo.grpc import INVALID, Refusal

Object = dict[str, Any]


def _object(value: Any, where: str) -> Object:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refusal(INVALID, f"json: cannot unmarshal {_kind(value)} into Go struct field {where} of type object")
    return value


def _kind(value: Any) -> str:
    names = {str: "string", bool: "bool", int: "number", float: "number", list: "array"}
    return names.get(type(value), "object")


def workflow(obj: Object) -> None:
    """Fill in, in place, what a Workflow or WorkflowTemplate always has."""
    obj["metadata"] = _object(obj.get("metadata"), "metadata")
    obj["spec"] = spec = _object(obj.get("spec"), "spec")
    spec["arguments"] = _object(spec.get("arguments"), "spec.arguments")
    templates = spec.get("templates")
    if templates is not None and not isinstance(templates, list):
        raise Refusal(
            INVALID, f"json: cannot unmarshal {_kind(templates)} into Go struct field spec.templates of type array"
        )
    for template in templates or []:
        _template(_object(template, "spec.templates"))


def refilled(obj: Object) -> Object:
    """A workflow of which parts were left out: Go's struct writes these fields nevertheless."""
    return obj | {
        "metadata": {"creationTimestamp": None} | (obj.get("metadata") or {}),
        "spec": {"arguments": {}} | (obj.get("spec") or {}),
        "status": {"startedAt": None, "finishedAt": None} | (obj.get("status") or {}),
    }


def _template(template: Object) -> None:
    for field in ("inputs", "outputs", "metadata"):
        template[field] = _object(template.get(field), f"spec.templates.{field}")
    groups = template.get("steps") or []
    tasks = (template.get("dag") or {}).get("tasks") or []
    for call in (*(c for g in groups for c in (g if isinstance(g, list) else [g])), *tasks):
        _object(call, "spec.templates.steps")["arguments"] = _object(call.get("arguments"), "spec.templates.arguments")
    for field in ("container", "script"):
        if field in template:
            template[field] = {"name": "", "resources": {}} | _object(template[field], f"spec.templates.{field}")
