"""Parts of a Workflow that are refused, with their path and before anything runs: fields of `kubeproc.fields`, and
unsupported values."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from kubeproc import embedder
from kubeproc.argo.executor import manifest
from kubeproc.argo.language import expressions
from kubeproc.fields import workflow_fields
from kubeproc.runtime.paths import SYSTEM, below

Object = dict[str, Any]


def of_template(template: Object) -> str:
    """Why a template is refused; "" if it is not."""
    where = f"templates.{template.get('name', '')}"
    return (
        workflow_fields.refusal("Template", template, where)
        or _of_patch(f"{where}.podSpecPatch", template.get("podSpecPatch"))
        or _of_paths(where, template)
        or _of_flags(where, template)
        or _of_expressions(where, template)
    )


def of_spec(spec: Object) -> str:
    """Why a workflow's spec, without its templates, is refused; "" if it is not."""
    own = {name: value for name, value in spec.items() if name not in ("templates", "templateDefaults")}
    beside = {name: value for name, value in spec.items() if name != "templates"}
    return (
        workflow_fields.refusal("WorkflowSpec", own, "spec")
        or _of_patch("spec.podSpecPatch", spec.get("podSpecPatch"))
        or _of_expressions("spec", beside)
    )


def _of_patch(where: str, patch: Any) -> str:
    """A pod patch without tags is checked here; one with tags is checked when the pod is created."""
    if not isinstance(patch, str) or "{{" in patch:
        return ""
    import yaml  # only if there is a patch

    try:
        return workflow_fields.refusal("PodSpec", yaml.safe_load(patch), where)
    except yaml.YAMLError:
        return ""  # the pod's error says why


def _of_paths(where: str, template: Object) -> str:
    """Input artifacts with a path among the image's files, which belong to the machine and are shared by all pods."""
    parts = [template.get(kind) or {} for kind in ("container", "script")]
    mounted = tuple(str(m.get("mountPath")) for part in parts for m in part.get("volumeMounts") or ())
    for artifact in (template.get("inputs") or {}).get("artifacts") or ():
        path = posixpath.normpath(artifact.get("path") or ".")
        if below(path, SYSTEM) and not below(path, mounted):
            why = f"{path} belongs to the image; choose a path that belongs to the pod, for example below /tmp"
            return embedder.unsupported(f"{where}.inputs.artifacts.{artifact.get('name')}.path", why)
    return ""


def _of_flags(where: str, template: Object) -> str:
    given = [str(word) for word in (template.get("resource") or {}).get("flags") or ()]
    try:
        manifest.flags([word for word in given if "{{" not in word])
    except manifest.UnknownFlag as unknown:
        return embedder.unsupported(f"{where}.resource.flags: {unknown.word}", "")
    return ""


_TAG = re.compile(r"\{\{=(.*?)\}\}", re.DOTALL)
_EXPRESSIONS = ("expression", "fromExpression")  # fields that contain one expression


def _of_expressions(where: str, value: Any) -> str:
    """The first unsupported function in any expression below: an expression that fails would stay in the text."""
    if isinstance(value, str):
        closed = value[: value.rfind("}}") + 2] if "}}" in value else ""
        found = (expressions.refused(source) for source in _TAG.findall(closed))
        words = next(filter(None, found), "")
        return f"{where}: {words}" if words else ""
    if isinstance(value, list):
        members = [(f"{where}[{index}]", "", item) for index, item in enumerate(value)]
    elif isinstance(value, dict):
        members = [(f"{where}.{key}", key, item) for key, item in value.items()]
    else:
        return ""
    for place, key, item in members:
        if key in _EXPRESSIONS and isinstance(item, str) and (words := expressions.refused(item)):
            return f"{place}: {words}"
        if words := _of_expressions(place, item):
            return words
    return ""
