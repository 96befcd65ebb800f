"""Checks of one template and of the templates that it calls; `validate` starts them.

A `Scope` is the set of tags that are defined at one place; some of its members stand for many (`item.*`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from kubeproc.argo.language import templating
from kubeproc.argo.templates import arguments as args
from kubeproc.argo.templates import spec as specs
from kubeproc.argo.templates.spec import NotFound, Source, SpecError
from kubeproc.argo.validation import unsupported
from kubeproc.argo.validation.leaf_checks import (
    check_global_name,
    check_inputs,
    check_mounts,
    check_output_parameter,
    check_path,
    check_resource,
    kind_name,
)
from kubeproc.argo.validation.name_checks import (
    ANY_ARTIFACT,
    ANY_ITEM,
    ANY_OUTPUT,
    PARAMETER,
    Invalid,
    Object,
    Scope,
    check_names,
    is_placeholder,
    placeholder,
)
from kubeproc.store import Store

_PREFIXES = ("item.", "steps.", "inputs.", "outputs.", "pod.", "workflow.", "tasks.")
_ALWAYS = ("outputs.", "workflow.creationTimestamp", "workflow.scheduledTime", "workflow.duration", "tasks.name",
           "steps.name", "node.name")  # fmt: skip
_KINDS_WORDS = "choose one of: container, containerSet, steps, script, resource, dag, suspend, template, template ref"


class _Anything:
    """Arguments of any name."""

    def parameter(self, name: str) -> Object:
        return {"name": name, "value": placeholder()}

    def artifact(self, name: str) -> Object:
        return {"name": name}


class Checker:
    """Checks the templates of one workflow. `globals` are the global variables known so far; `of_template`: the spec is
    a WorkflowTemplate's, whose parameters can be supplied later. `groups` checks templates that call others, by their
    kind."""

    def __init__(
        self,
        store: Store,
        namespace: str,
        own: Source,
        defaults: Object,
        of_template: bool,
        groups: Mapping[str, Callable[[Checker, Scope, Object, Source], None]],
    ) -> None:
        self.templates = specs.Templates(store, namespace, own, {}, {})
        self.defaults, self.of_template, self.groups = defaults, of_template, groups
        self.done: set[str] = set()
        names = ("name", "namespace", "mainEntrypoint", "serviceAccountName", "uid")
        self.globals: dict[str, str] = {f"workflow.{name}": placeholder() for name in names}

    def holder(self, holder: Object, source: Source, given: Object | None) -> Object | None:
        """Check the template that a step, task or hook calls, with its arguments (None: any); returns the template."""
        reference, name = holder.get("templateRef"), holder.get("template") or ""
        if reference:
            if name:
                raise Invalid("template name cannot be specified with templateRef.")
            for field, words in (("name", "resource name"), ("template", "template name")):
                if not reference.get(field):
                    raise Invalid(f"{words} is required")
            if "{{" in json.dumps(reference):
                return None
        try:
            home, template = self.templates.resolve(holder, source)
        except NotFound as error:
            if reference and "placeholder" in reference["template"]:
                return None
            if reference:
                raise Invalid(f"template reference {reference['name']}.{reference['template']} not found") from error
            raise Invalid(f"template name '{name}' undefined") from error
        except SpecError as error:
            raise Invalid(str(error)) from None
        if not specs.kind_of(template):
            name = template.get("name", "")
            raise Invalid(f"templates.{name} template type unspecified. {_KINDS_WORDS}")
        policy = (template.get("retryStrategy") or {}).get("retryPolicy") or ""
        if policy not in ("", "Always", "OnError", "OnFailure", "OnTransientError"):
            raise Invalid(f"{policy} is not a valid RetryPolicy")
        self.template(template, home, given)
        return template

    def template(self, template: Object, home: Source, given: Object | None) -> None:
        """Check a template called with arguments; its content only the first time."""
        name = template.get("name", "")
        if sum(template.get(kind) is not None for kind in specs.KINDS) > 1:
            raise Invalid(f"templates.{name} multiple template types specified. {_KINDS_WORDS}")
        refused = unsupported.of_template(template)
        if refused:
            raise Invalid(refused)
        scope = check_inputs(template)
        if any(not c.get("name") for c in template.get("initContainers") or ()):
            raise Invalid("initContainers must all have container name")
        local = self._local(template, scope)
        lookup = _Anything() if given is None else args.Arguments(given)
        try:
            processed = args.process(template, lookup, self.globals, local, "", None, validating=True)
        except (args.ArgumentError, templating.TemplateError) as error:
            raise Invalid(f"templates.{name} {error}") from None
        if processed.get("timeout"):
            if not specs.is_leaf(processed):
                raise Invalid(f"{kind_name(processed)} template doesn't support timeout field.")
            if re.fullmatch(r"[+-]?\d+", str(processed["timeout"])):
                raise Invalid(f"{name} has invalid duration format in timeout.")
        key = f"{home.label}{name}" if name else f"{home.label}:{id(template)}"
        if key in self.done:
            return
        self.done.add(key)
        scope |= self.globals
        kind = next((kind for kind in self.groups if processed.get(kind) is not None), None)
        if kind is None:
            self._leaf(scope, processed)
        else:
            self.groups[kind](self, scope, processed, home)
        self._outputs(scope, processed)

    @staticmethod
    def _local(template: Object, scope: Scope) -> dict[str, str]:
        local: dict[str, str] = {}
        if specs.is_pod(template):
            local["pod.name"] = placeholder()
        if template.get("retryStrategy") is not None:
            names = ("exitCode", "status", "duration", "message")
            local |= {"retries": placeholder()} | {f"lastRetry.{name}": placeholder() for name in names}
        scope |= local
        if specs.is_leaf(template):
            outputs = template.get("outputs") or {}
            for artifact in outputs.get("artifacts") or ():
                scope[f"outputs.artifacts.{artifact.get('name')}.path"] = True
            for parameter in outputs.get("parameters") or ():
                scope[f"outputs.parameters.{parameter.get('name')}.path"] = True
        return local

    def resolve(self, scope: Scope, source: Any) -> None:
        """Check that every tag is defined; Invalid without a location otherwise."""
        text = source if isinstance(source, str) else json.dumps(source, ensure_ascii=False)

        def check(tag: str) -> None:
            name = tag.strip()
            if not name.startswith(_PREFIXES) or name in scope or name in self.globals or name.startswith(_ALWAYS):
                return
            if name.startswith("item.") and ANY_ITEM in scope:
                return
            if name.startswith("workflow.outputs.parameters.") and ANY_OUTPUT in scope:
                return
            if name.startswith("workflow.outputs.artifacts.") and ANY_ARTIFACT in scope:
                return
            if name.startswith("workflow.parameters") and self.of_template:
                return
            raise Invalid(f"failed to resolve {{{{{tag}}}}}")

        try:
            templating.each_tag(text, check)
        except templating.TemplateError as error:
            raise Invalid(str(error)) from None

    def _leaf(self, scope: Scope, template: Object) -> None:
        where = f"templates.{template.get('name', '')}"
        try:
            self.resolve(scope, template)
        except Invalid as error:
            raise Invalid(f"{where}: {error}") from None
        if template.get("container") is not None:
            check_mounts(where, template)
        for kind in ("container", "script"):
            lent = (self.defaults.get(kind) or {}).get("image")
            if template.get(kind) is not None and not template[kind].get("image") and not lent:
                raise Invalid(f"{where}.{kind}.image may not be empty")
        if template.get("resource") is not None:
            check_resource(where, template)
        seconds = template.get("activeDeadlineSeconds")
        known = seconds is not None and not is_placeholder(seconds) and not PARAMETER.match(str(seconds))
        if known and not re.fullmatch(r"\+?\d+", str(seconds)):
            raise Invalid(f"{where}.activeDeadlineSeconds must be a positive integer > 0 or an argo variable")
        if template.get("parallelism") is not None:
            raise Invalid(f"{where}.parallelism is only valid for steps and dag templates")

    def _outputs(self, scope: Scope, template: Object) -> None:
        outputs, where = template.get("outputs") or {}, f"templates.{template.get('name', '')}"
        for kind in ("parameters", "artifacts"):
            check_names(outputs.get(kind) or [], f"{where}.outputs.{kind} ", of_values=True)
        try:
            self.resolve(scope, outputs)
        except Invalid as error:
            raise Invalid(f"{where}.outputs {error}") from None
        for artifact in outputs.get("artifacts") or []:
            name = f"outputs.artifacts.{artifact['name']}"
            if specs.is_leaf(template):
                check_path(where, name, artifact)
            elif artifact.get("path"):
                raise Invalid(f"{where}.{name}.path only valid in container/script templates")
            check_global_name(f"{where}.{name}", artifact)
        for parameter in outputs.get("parameters") or []:
            check_output_parameter(f"{where}.outputs.parameters.{parameter['name']}", template, parameter)

    def add_outputs(self, template: Object | None, prefix: str, scope: Scope, *, loop: bool, before: bool) -> None:
        """Add the tags by which others refer to a step or task."""
        for name in ("id", "startedAt", "finishedAt", "hostNodeName"):
            scope[f"{prefix}.{name}"] = True
        if template is None:
            return
        if specs.kind_of(template) in ("container", "script"):
            scope[f"{prefix}.outputs.result"] = scope[f"{prefix}.exitCode"] = True
        outputs = template.get("outputs") or {}
        for kind, anything in (("parameters", ANY_OUTPUT), ("artifacts", ANY_ARTIFACT)):
            for item in outputs.get(kind) or ():
                scope[f"{prefix}.outputs.{kind}.{item['name']}"] = True
                shared = item.get("globalName")
                if shared and PARAMETER.search(shared):
                    scope[anything] = True
                elif shared:
                    scope[f"workflow.outputs.{kind}.{shared}"] = True
                    self.globals[f"workflow.outputs.{kind}.{shared}"] = placeholder()
        if loop:
            scope[f"{prefix}.outputs.parameters"] = True
            if specs.kind_of(template) == "script":
                scope[f"{prefix}.outputs.result"] = scope[f"{prefix}.exitCode"] = True
        if before:
            scope[f"{prefix}.status"] = True
