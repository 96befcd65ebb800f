"""Which parts of a Workflow the embedded cluster refuses: by name, with what to do instead, never by ignoring them."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

_OF_TEMPLATES = {
    "containerSet": "",
    "http": "",
    "plugin": "",
    "data": "",
    "daemon": "a Deployment and a Service can serve the other steps",
    "metrics": "no metrics are collected",
}
_OF_SPECS = {
    "metrics": "no metrics are collected",
    "podDisruptionBudget": "",
    "artifactGC": "",
}


def _words(field: str, hint: str) -> str:
    return (
        f"{field}: not supported by the embedded cluster{f' ({hint})' if hint else ''}; use `labkit up --engine kind`"
    )


def of_template(template: Object) -> str:
    """What is wrong with a template, in words; "" where nothing is."""
    where = f"templates.{template.get('name', '')}"
    for field, hint in _OF_TEMPLATES.items():
        if template.get(field):
            return _words(f"{where}.{field}", hint)
    for artifact in ((template.get("outputs") or {}).get("artifacts")) or ():
        if artifact.get("artifactGC"):
            return _words(f"{where}.outputs.artifacts.{artifact.get('name')}.artifactGC", "")
    return _of_locks(f"{where}.synchronization", template.get("synchronization"))


def of_spec(spec: Object) -> str:
    """What is wrong with a workflow's spec beside its templates."""
    for field, hint in _OF_SPECS.items():
        if spec.get(field):
            return _words(f"spec.{field}", hint)
    return _of_locks("spec.synchronization", spec.get("synchronization"))


def _of_locks(where: str, synchronization: Object | None) -> str:
    for field, references in (synchronization or {}).items():
        for reference in references if isinstance(references, list) else [references]:
            if isinstance(reference, dict) and reference.get("database"):
                return _words(f"{where}.{field}.database", "")
    return ""
