"""Workflows created from templates: the Argo Server's `submit` and its options."""

from __future__ import annotations

from typing import Any

from kubeproc.argo.executor.task import PREFIX
from kubeproc.argo.server.grpc import INTERNAL, INVALID, Refusal
from kubeproc.argo.workflow import actions
from kubeproc.resources import CLUSTERWORKFLOWTEMPLATES, WORKFLOWS, WORKFLOWTEMPLATES, Resource

Object = dict[str, Any]


def _names(resource: Resource, *more: str) -> dict[str, Resource]:
    return dict.fromkeys((resource.kind, resource.singular, resource.plural, *resource.short, *more), resource)


KINDS = _names(WORKFLOWTEMPLATES) | _names(CLUSTERWORKFLOWTEMPLATES, "cwft")


def from_template(kind: str, name: str) -> Object:
    """A workflow that refers to a template of that kind and name. Refusal if nothing of that kind can be submitted."""
    resource = KINDS.get(kind)
    if resource is None:
        raise Refusal(INVALID, f"Resource kind '{kind}' is not supported for submitting")
    ref: Object = {"name": name}
    if resource is CLUSTERWORKFLOWTEMPLATES:
        ref["clusterScope"] = True
    label = PREFIX + ("cluster-workflow-template" if resource is CLUSTERWORKFLOWTEMPLATES else "workflow-template")
    return {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {"generateName": name + "-", "labels": {label: name}},
        "spec": {"workflowTemplateRef": ref, "arguments": {}},
    }


def apply(workflow: Object, options: Object) -> None:
    """Apply the `submitOptions` to the workflow. Refusal with Argo's message."""
    meta, spec = workflow["metadata"], workflow["spec"]
    for option, field in (
        ("entryPoint", "entrypoint"),
        ("serviceAccount", "serviceAccountName"),
        ("podPriorityClassName", "podPriorityClassName"),
        ("priority", "priority"),
    ):
        if options.get(option) not in (None, ""):
            spec[field] = options[option]
    for option, word in (("labels", "labels"), ("annotations", "Annotations")):
        if options.get(option):
            meta[option] = (meta.get(option) or {}) | _pairs(options[option], word, options.get("labels") or "")
    try:
        actions.override(workflow, options.get("parameters"))
    except actions.Refused as error:
        raise Refusal(INTERNAL, str(error)) from error
    for field in ("generateName", "name"):
        if options.get(field):
            meta[field] = options[field]
    if options.get("ownerReference"):
        meta.setdefault("ownerReferences", []).append(options["ownerReference"])


def _pairs(text: str, word: str, labels: str) -> dict[str, str]:
    found = {}
    for part in text.split(","):
        name, equal, value = part.partition("=")
        why = f"unexpected label spec: {part}" if not equal or "=" in value else ""
        why = why or ("unexpected empty label key" if not name else "")
        if why:
            form = "of the form: NAME1=VALUE2,NAME2=VALUE2"
            # Argo names the labels here even if the annotations are wrong.
            raise Refusal(INTERNAL, f"expected {word} {form}. Received: {labels}: {why}")
        found[name] = value
    return found
