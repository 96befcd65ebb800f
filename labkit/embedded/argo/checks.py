"""The checks of one template and of what it calls; `validate` says where they begin.

A `Scope` is the set of tags that have a meaning at one place; some of its members stand for many (`item.*`).
"""

from __future__ import annotations

import itertools
import json
import posixpath
import re
from collections.abc import Iterable
from typing import Any

from labkit.embedded.argo import arguments as args
from labkit.embedded.argo import gotext, support, templating
from labkit.embedded.argo import spec as specs
from labkit.embedded.argo.spec import NotFound, Source, SpecError
from labkit.embedded.store import Store

Object = dict[str, Any]
Scope = dict[str, Any]

ANY_ITEM, ANY_OUTPUT = "item.*", "workflow.outputs.parameters.*"
ANY_ARTIFACT = "workflow.outputs.artifacts.*"
_PREFIXES = ("item.", "steps.", "inputs.", "outputs.", "pod.", "workflow.", "tasks.")
_ALWAYS = ("outputs.", "workflow.creationTimestamp", "workflow.scheduledTime", "workflow.duration", "tasks.name",
           "steps.name", "node.name")  # fmt: skip
_VALUE_NAME, _NAME = re.compile(r"^[-a-zA-Z0-9_]+$"), re.compile(r"^[a-zA-Z0-9][-a-zA-Z0-9]*$")
_PARAMETER = re.compile(r"{{[-a-zA-Z0-9]+(\.[-a-zA-Z0-9_]+)*}}")
_VALUE_NAME_WORDS = (
    "Parameter/Artifact name must consist of alpha-numeric characters, '_' or '-' e.g. my_param_1, MY-PARAM-1"
)
_NAME_WORDS = (
    "name must consist of alpha-numeric characters or '-', and must start with an alpha-numeric character "
    "(e.g. My-name1-2, 123-NAME)"
)
_KINDS_WORDS = "choose one of: container, containerSet, steps, script, resource, dag, suspend, template, template ref"
_ACTIONS = ("get", "create", "apply", "delete", "replace", "patch")
_OUTPUT_SOURCES = ("path", "jqFilter", "jsonPath", "parameter", "expression")
_count = itertools.count()


class Invalid(Exception):
    """The workflow is not valid; the message is Argo's."""


def placeholder() -> str:
    """A value that stands for one that is known only when the workflow runs."""
    return f"placeholder-{next(_count)}"


def is_placeholder(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("placeholder-")


class _Anything:
    """Arguments of any name."""

    def parameter(self, name: str) -> Object:
        return {"name": name, "value": placeholder()}

    def artifact(self, name: str) -> Object:
        return {"name": name}


# -- names and arguments ---------------------------------------------------------------------------------------------


def check_names(items: Iterable[Object], prefix: str, *, of_values: bool) -> None:
    """Names are there, well formed and unique; `of_values` for parameters and artifacts."""
    seen: set[str] = set()
    for i, item in enumerate(items):
        name = item.get("name") or ""
        if not name:
            raise Invalid(f"{prefix}[{i}].name is required")
        wrong = _wrong_value_name(name) if of_values else wrong_name(name)
        if wrong:
            raise Invalid(f"{prefix}[{i}].name: '{name}' is invalid: {wrong}")
        if name in seen:
            raise Invalid(f"{prefix}[{i}].name '{name}' is not unique")
        seen.add(name)


def _wrong_value_name(name: str) -> str:
    return "" if _VALUE_NAME.match(name) else _VALUE_NAME_WORDS


def wrong_name(name: str) -> str:
    long = ["must be no more than 128 characters"] if len(name) > 128 else []
    return ";".join(long + ([] if _NAME.match(name) else [_NAME_WORDS]))


def check_arguments(prefix: str, arguments: Object | None, *, may_be_empty: bool) -> None:
    arguments = arguments or {}
    for kind in ("parameters", "artifacts"):
        check_names(arguments.get(kind) or [], f"{prefix}{kind}", of_values=True)
    for parameter in arguments.get("parameters") or []:
        _check_argument(f"{prefix}{parameter['name']}", parameter, may_be_empty)
    for artifact in arguments.get("artifacts") or []:
        where = f"{prefix}{artifact['name']}"
        if not artifact.get("from") and not args.has_location(artifact) and not artifact.get("fromExpression"):
            raise Invalid(f"{where}.from, artifact location, or key is required")
        if artifact.get("from") and artifact.get("fromExpression"):
            raise Invalid(f"{where} shouldn't have both `from` and `fromExpression` in Artifact")


def _check_argument(where: str, parameter: Object, may_be_empty: bool) -> None:
    source, value = parameter.get("valueFrom"), parameter.get("value")
    if source is None and value is None and not may_be_empty:
        raise Invalid(f"{where}.value or {where}.valueFrom is required")
    if source is not None:
        allowed = source.get("configMapKeyRef") or source.get("event") or source.get("supplied") is not None
        if not allowed or any(source.get(k) for k in ("path", "jsonPath", "parameter", "expression")):
            raise Invalid(f"{where}.valueFrom only allows: default, configMapKeyRef and supplied")
    choices = parameter.get("enum")
    if choices is None:
        return
    if not choices:
        raise Invalid(f"{where}.enum should contain at least one value")
    if value is None:
        if not may_be_empty:
            raise Invalid(f"{where}.value is required")
        return
    if gotext.text(value) not in [gotext.text(choice) for choice in choices]:
        raise Invalid(f"{where}.value should be present in {where}.enum list")


def check_hooks(hooks: Object | None, where: str) -> None:
    for name, hook in (hooks or {}).items():
        if name != "exit" and not hook.get("expression"):
            raise Invalid(f"{where}.{name} Expression required")


# -- templates -------------------------------------------------------------------------------------------------------


class Checker:
    """Checks the templates of one workflow. `globals` are the global variables known so far; `of_template` says that it
    is a WorkflowTemplate's, whose parameters may be given later."""

    def __init__(self, store: Store, namespace: str, own: Source, defaults: Object, of_template: bool) -> None:
        self.templates = specs.Templates(store, namespace, own, {}, {})
        self.defaults, self.of_template = defaults, of_template
        self.done: set[str] = set()
        names = ("name", "namespace", "mainEntrypoint", "serviceAccountName", "uid")
        self.globals: dict[str, str] = {f"workflow.{name}": placeholder() for name in names}

    def holder(self, holder: Object, source: Source, given: Object | None) -> Object | None:
        """Check what a step, task or hook calls, with the arguments it gives (None: any). The template."""
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
        """Check a template called with arguments; what it contains only the first time."""
        name = template.get("name", "")
        if sum(template.get(kind) is not None for kind in specs.KINDS) > 1:
            raise Invalid(f"templates.{name} multiple template types specified. {_KINDS_WORDS}")
        refused = support.of_template(template)
        if refused:
            raise Invalid(refused)
        scope = _inputs(template)
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
                raise Invalid(f"{_kind_name(processed)} template doesn't support timeout field.")
            if re.fullmatch(r"[+-]?\d+", str(processed["timeout"])):
                raise Invalid(f"{name} has invalid duration format in timeout.")
        key = f"{home.label}{name}" if name else f"{home.label}:{id(template)}"
        if key in self.done:
            return
        self.done.add(key)
        scope |= self.globals
        from labkit.embedded.argo import checks_groups

        if processed.get("steps") is not None:
            checks_groups.steps(self, scope, processed, home)
        elif processed.get("dag") is not None:
            checks_groups.dag(self, scope, processed, home)
        else:
            self._leaf(scope, processed)
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
        """Every tag has a meaning; Invalid with the bare words otherwise."""
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
            _mounts(where, template)
        for kind in ("container", "script"):
            lent = (self.defaults.get(kind) or {}).get("image")
            if template.get(kind) is not None and not template[kind].get("image") and not lent:
                raise Invalid(f"{where}.{kind}.image may not be empty")
        if template.get("resource") is not None:
            _resource(where, template)
        seconds = template.get("activeDeadlineSeconds")
        known = seconds is not None and not is_placeholder(seconds) and not _PARAMETER.match(str(seconds))
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
                _path(where, name, artifact)
            elif artifact.get("path"):
                raise Invalid(f"{where}.{name}.path only valid in container/script templates")
            _global_name(f"{where}.{name}", artifact)
        for parameter in outputs.get("parameters") or []:
            _output_parameter(f"{where}.outputs.parameters.{parameter['name']}", template, parameter)

    def add_outputs(self, template: Object | None, prefix: str, scope: Scope, *, loop: bool, before: bool) -> None:
        """The tags under which others refer to a step or task."""
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
                if shared and _PARAMETER.search(shared):
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


def _kind_name(template: Object) -> str:
    kind = specs.kind_of(template)
    return {"dag": "DAG", "http": "HTTP"}.get(kind, kind.capitalize())


def _inputs(template: Object) -> Scope:
    inputs, where = template.get("inputs") or {}, f"templates.{template.get('name', '')}"
    for kind in ("parameters", "artifacts"):
        check_names(inputs.get(kind) or [], f"{where}.inputs.{kind}", of_values=True)
    scope: Scope = {f"inputs.parameters.{p['name']}": True for p in inputs.get("parameters") or []}
    if scope:
        scope["inputs.parameters"] = True
    for artifact in inputs.get("artifacts") or []:
        name = f"inputs.artifacts.{artifact['name']}"
        scope[name] = True
        if specs.is_leaf(template):
            _path(where, name, artifact)
            scope[f"{name}.path"] = True
        elif artifact.get("path"):
            raise Invalid(f"{where}.{name}.path only valid in container/script templates")
        if artifact.get("from"):
            raise Invalid(f"{where}.{name}.from not valid in inputs")
        if artifact.get("git") is not None and not artifact["git"].get("repo"):
            raise Invalid(f"{where}.{name}.git.repo is required")
    return scope


def _path(where: str, name: str, artifact: Object) -> None:
    path = artifact.get("path") or ""
    if not path:
        raise Invalid(f"error in {where}.{name}: Artifact '{artifact['name']}' did not specify a path")
    at = path.find("/../")
    safe = path[:at] if at >= 0 else path[:-3] if path.endswith("/..") else ""
    clean = posixpath.normpath(path)
    if safe and not (clean.startswith(safe + "/") and len(clean) > len(safe) + 1):
        raise Invalid(
            f"error in {where}.{name}: Artifact '{artifact['name']}' attempted to use a path containing '..'. "
            "Directory traversal is not permitted"
        )


def _global_name(where: str, item: Object) -> None:
    name = item.get("globalName")
    if name and not _PARAMETER.search(name) and _wrong_value_name(name):
        raise Invalid(f"{where}.globalName: {_wrong_value_name(name)}")


def _output_parameter(where: str, template: Object, parameter: Object) -> None:
    source, value = parameter.get("valueFrom"), parameter.get("value")
    if source is not None and value is not None:
        raise Invalid(f"{where} has both valueFrom and value specified. Choose one.")
    if value is None and source is None:
        raise Invalid(f"{where} does not have valueFrom or value specified")
    if source is not None:
        kinds = sum(bool(source.get(k)) for k in _OUTPUT_SOURCES) + (source.get("supplied") is not None)
        if kinds == 0:
            raise Invalid(
                "valueFrom type unspecified. choose one of: path, jqFilter, jsonPath, parameter, raw, expression"
            )
        if kinds > 1:
            raise Invalid("multiple valueFrom types specified. choose one of: path, jqFilter, jsonPath, parameter, raw")
        kind = _kind_name(template)
        if kind in ("Container", "Script") and not source.get("path"):
            raise Invalid(f"{where}.path must be specified for {kind} templates")
        if kind == "Resource" and not source.get("jqFilter") and not source.get("jsonPath"):
            raise Invalid(f"{where} .jqFilter or jsonPath must be specified for {kind} templates")
        if kind in ("DAG", "Steps") and not source.get("parameter") and not source.get("expression"):
            raise Invalid(f"{where}.parameter or expression must be specified for {kind} templates")
    _global_name(where, parameter)


def _mounts(where: str, template: Object) -> None:
    taken: dict[str, str] = {}
    places = [
        (f"container.volumeMounts[{i}].mountPath", m.get("mountPath"), f"container.volumeMounts.{m.get('name')}")
        for i, m in enumerate(template["container"].get("volumeMounts") or ())
    ]
    places += [
        (f"inputs.artifacts[{i}].path", a.get("path"), f"inputs.artifacts.{a['name']}")
        for i, a in enumerate((template.get("inputs") or {}).get("artifacts") or ())
    ]
    for field, path, what in places:
        if path in taken:
            raise Invalid(f"{where}.{field} '{path}' already mounted in {taken[path]}")
        taken[path] = what


def _resource(where: str, template: Object) -> None:
    resource = template["resource"]
    action, manifest = resource.get("action") or "", resource.get("manifest") or ""
    if not is_placeholder(action) and action not in _ACTIONS:
        raise Invalid(f"{where}.resource.action must be one of: {', '.join(_ACTIONS)}")
    if action in ("delete", "get"):
        return
    source = resource.get("manifestFrom")
    if not manifest and not source:
        raise Invalid(f"either {where}.resource.manifest or {where}.resource.manifestFrom must be specified")
    if manifest and source:
        raise Invalid("shouldn't have both `manifest` and `manifestFrom` specified in `Manifest` for resource template")
    if source and source.get("artifact"):
        names = [a["name"] for a in (template.get("inputs") or {}).get("artifacts") or ()]
        if source["artifact"].get("name") not in names:
            raise Invalid(f"artifact {source['artifact'].get('name')} in `manifestFrom` refer to a non-exist artifact")
    if manifest and not is_placeholder(manifest):
        import yaml  # only where there is a manifest

        try:
            yaml.safe_load(re.sub(r"{{\s*=\s*(.+?)\s*}}", lambda match: placeholder(), manifest))
        except yaml.YAMLError:
            raise Invalid(f"{where}.resource.manifest must be a valid yaml") from None
