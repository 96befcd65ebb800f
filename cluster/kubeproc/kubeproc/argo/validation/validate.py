"""Validation of a workflow before it runs: Argo's checks, in Argo's order and with its messages.

Mechanism. The templates are walked as the controller would walk them, from the entrypoint, with placeholders for values
that are not known yet; each template is checked once per place of definition. `Scope` has the tags that are defined at
one place. The Argo Server rejects an invalid workflow, the controller fails it with `invalid spec: ...`.
"""

from __future__ import annotations

from typing import Any

from kubeproc.argo.templates import spec as specs
from kubeproc.argo.templates.spec import SpecError
from kubeproc.argo.validation import group_checks, unsupported
from kubeproc.argo.validation.name_checks import Invalid, check_arguments, check_hooks, check_names, placeholder
from kubeproc.argo.validation.template_checks import Checker
from kubeproc.store import Store

Object = dict[str, Any]

LONGEST_NAME = 63
GROUPS = {"steps": group_checks.steps, "dag": group_checks.dag}
_POD_GC = ("", "OnPodCompletion", "OnPodSuccess", "OnWorkflowCompletion", "OnWorkflowSuccess")

__all__ = ["Invalid", "validate", "validate_template"]


def validate(workflow: Object, store: Store, *, submit: bool = False) -> None:
    """Raise Invalid, with Argo's message, if the workflow can't run. `submit` is for a workflow that the Argo Server's
    `submit` created from a WorkflowTemplate: its arguments count as the template's own."""
    name = workflow["metadata"].get("name") or ""
    if len(name) > LONGEST_NAME:
        why = f'workflow name "{name}" must not be more than 63 characters long (currently {len(name)})'
        raise Invalid(why)
    _validate(workflow, store, of_template=False, submit=submit)


def validate_template(template: Object, store: Store) -> None:
    """Raise Invalid if the WorkflowTemplate or ClusterWorkflowTemplate is invalid."""
    name, kind = template["metadata"].get("name") or "", template.get("kind", "")
    if len(name) > LONGEST_NAME:
        words = "cluster workflow template" if kind == "ClusterWorkflowTemplate" else "workflow template"
        raise Invalid(f'{words} name "{name}" must not be more than 63 characters long (currently {len(name)})')
    meta = {k: v for k, v in template["metadata"].items() if k in ("labels", "annotations", "namespace")}
    _validate({"metadata": meta, "spec": template.get("spec") or {}}, store, of_template=True, submit=False)


def _validate(workflow: Object, store: Store, *, of_template: bool, submit: bool) -> None:
    spec: Object = workflow.get("spec") or {}
    reference: Object | None = spec.get("workflowTemplateRef")
    namespace = workflow["metadata"].get("namespace") or "default"
    lent: Object = {}
    entrypoint = spec.get("entrypoint") or ""
    if reference:
        if spec.get("templates"):
            raise Invalid("Templates is invalid field in spec if workflow referred WorkflowTemplate reference")
        try:
            lent = specs.referred(spec, namespace, store).get("spec") or {}
        except SpecError as error:
            raise Invalid(str(error)) from None
        entrypoint = entrypoint or lent.get("entrypoint") or ""
    for part in (spec, lent):
        refused = unsupported.of_spec(part)
        if refused:
            raise Invalid(refused)
    check_names(spec.get("templates") or [], "spec.templates", of_values=False)
    arguments = _merged_arguments(spec, lent)
    check_arguments("spec.arguments.", arguments, may_be_empty=of_template and not submit)

    own = specs.local(workflow["metadata"].get("name") or "", spec)
    checker = Checker(store, namespace, own, spec.get("templateDefaults") or {}, of_template, GROUPS)
    _add_globals(checker.globals, workflow, spec, lent, arguments)
    if not entrypoint and not of_template:
        raise Invalid("spec.entrypoint is required")
    if entrypoint:
        checker.holder(_named(entrypoint, reference), own, None if of_template else arguments)
    on_exit = spec.get("onExit") or lent.get("onExit")
    if on_exit:
        checker.globals["workflow.failures"] = placeholder()
        checker.holder(_named(on_exit, reference), own, spec.get("arguments") or {})
    check_hooks(spec.get("hooks"), "hooks")
    strategy = (spec.get("podGC") or {}).get("strategy") or ""
    if strategy not in _POD_GC:
        raise Invalid(f"podGC.strategy unknown strategy '{strategy}'")
    for template in (lent if reference else spec).get("templates") or []:
        try:
            checker.holder(_named(template["name"], reference), own, None)
        except Invalid as error:
            raise Invalid(f"templates.{template['name']} {error}") from None


def _named(template: str, reference: Object | None) -> Object:
    """The step that runs a template of the workflow, or of the WorkflowTemplate it refers to."""
    if not reference:
        return {"template": template}
    return {"templateRef": {"name": reference.get("name", ""), "template": template,
                            "clusterScope": bool(reference.get("clusterScope"))}}  # fmt: skip


def _merged_arguments(spec: Object, lent: Object) -> Object:
    """The workflow's arguments, and those of its WorkflowTemplate that it does not give itself."""
    own: Object = spec.get("arguments") or {}
    found: Object = {}
    for kind in ("parameters", "artifacts"):
        mine = own.get(kind) or []
        names = {item.get("name") for item in mine}
        others = [item for item in (lent.get("arguments") or {}).get(kind) or [] if item.get("name") not in names]
        found[kind] = [*mine, *others]
    return found


def _add_globals(known: dict[str, str], workflow: Object, spec: Object, lent: Object, arguments: Object) -> None:
    if arguments["parameters"]:
        known["workflow.parameters"] = known["workflow.parameters.json"] = placeholder()
    for parameter in arguments["parameters"]:
        value = parameter.get("value")
        known[f"workflow.parameters.{parameter['name']}"] = placeholder() if value is None else str(value)
    for kind, more in (("annotations", ()), ("labels", ("labelsFrom",))):
        sources = [workflow["metadata"].get(kind)]
        for metadata in (spec.get("workflowMetadata"), lent.get("workflowMetadata")):
            sources += [(metadata or {}).get(field) for field in (kind, *more)]
        for name in (name for source in sources for name in source or ()):
            known[f"workflow.{kind}.{name}"] = placeholder()
        known[f"workflow.{kind}"] = known[f"workflow.{kind}.json"] = placeholder()
    if spec.get("priority") is not None:
        known["workflow.priority"] = str(spec["priority"])
    known["workflow.status"] = placeholder()
