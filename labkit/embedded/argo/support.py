"""Which parts of a Workflow the embedded cluster refuses: by name, with what to do instead, never by ignoring them."""

from __future__ import annotations

import posixpath
from typing import Any

from labkit.embedded.argo import manifest
from labkit.embedded.argo.artifacts import KINDS
from labkit.embedded.runtime.paths import SYSTEM, below

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
    inputs, outputs = template.get("inputs") or {}, template.get("outputs") or {}
    for artifact in outputs.get("artifacts") or ():
        if artifact.get("artifactGC"):
            return _words(f"{where}.outputs.artifacts.{artifact.get('name')}.artifactGC", "")
    for parameter in outputs.get("parameters") or ():
        if (parameter.get("valueFrom") or {}).get("jqFilter"):
            return _words(f"{where}.outputs.parameters.{parameter.get('name')}.valueFrom.jqFilter", "jsonPath is")
    return (
        _of_artifacts(f"{where}.inputs.artifacts", inputs)
        or _of_artifacts(f"{where}.outputs.artifacts", outputs)
        or _of_place(f"{where}.archiveLocation", template.get("archiveLocation") or {})
        or _of_calls(where, template)
        or _of_paths(where, template)
        or _of_flags(where, template)
        or _of_locks(f"{where}.synchronization", template.get("synchronization"))
    )


def _of_artifacts(where: str, holder: Object | None) -> str:
    """What is wrong with the places of the artifacts in inputs, outputs or arguments."""
    found = (_of_place(f"{where}.{a.get('name')}", a) for a in (holder or {}).get("artifacts") or ())
    return next(filter(None, found), "")


def _of_place(where: str, location: Object) -> str:
    for kind in KINDS:
        if location.get(kind) is not None:
            return _words(f"{where}.{kind}", "s3, http and raw are")
    if (location.get("http") or {}).get("auth"):
        return _words(f"{where}.http.auth", "headers are")
    return ""


def _of_calls(where: str, template: Object) -> str:
    """What is wrong with the arguments that steps and tasks hand over."""
    groups = [(f"{where}.steps[{i}]", group) for i, group in enumerate(template.get("steps") or ())]
    groups += [(f"{where}.tasks", (template.get("dag") or {}).get("tasks") or ())]
    calls = ((f"{path}.{call.get('name')}", call) for path, group in groups for call in group)
    found = (_of_artifacts(f"{path}.arguments.artifacts", call.get("arguments")) for path, call in calls)
    return next(filter(None, found), "")


def _of_paths(where: str, template: Object) -> str:
    """Input artifacts that would lie among the image's files: these are the machine's, and shared by all pods."""
    parts = [template.get(kind) or {} for kind in ("container", "script")]
    mounted = tuple(str(m.get("mountPath")) for part in parts for m in part.get("volumeMounts") or ())
    for artifact in (template.get("inputs") or {}).get("artifacts") or ():
        path = posixpath.normpath(artifact.get("path") or ".")
        if below(path, SYSTEM) and not below(path, mounted):
            why = f"{path} belongs to the image; choose a path of the pod's own, below /tmp for example"
            return _words(f"{where}.inputs.artifacts.{artifact.get('name')}.path", why)
    return ""


def _of_flags(where: str, template: Object) -> str:
    given = [str(word) for word in (template.get("resource") or {}).get("flags") or ()]
    try:
        manifest.flags([word for word in given if "{{" not in word])
    except manifest.UnknownFlag as unknown:
        return _words(f"{where}.resource.flags: {unknown.word}", "")
    return ""


def of_spec(spec: Object) -> str:
    """What is wrong with a workflow's spec beside its templates."""
    for field, hint in _OF_SPECS.items():
        if spec.get(field):
            return _words(f"spec.{field}", hint)
    return _of_artifacts("spec.arguments.artifacts", spec.get("arguments")) or _of_locks(
        "spec.synchronization", spec.get("synchronization")
    )


def _of_locks(where: str, synchronization: Object | None) -> str:
    for field, references in (synchronization or {}).items():
        for reference in references if isinstance(references, list) else [references]:
            if isinstance(reference, dict) and reference.get("database"):
                return _words(f"{where}.{field}.database", "")
    return ""
