"""The spec that a workflow runs: its own, merged over that of the WorkflowTemplate that it refers to.

Mechanism. `execution_spec` merges `workflowTemplateRef` once and keeps the result in
`status.storedWorkflowTemplateSpec`, so that a template that changes meanwhile does not change a running workflow.
`Source` is a source of templates (the workflow itself, a WorkflowTemplate, a ClusterWorkflowTemplate): a name is looked
up in the source of the calling template, a `templateRef` in another source, whose templates are stored in
`status.storedTemplates`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubeproc.resources import CLUSTERWORKFLOWTEMPLATES, WORKFLOWTEMPLATES
from kubeproc.store import Store

Object = dict[str, Any]

KINDS = ("container", "containerSet", "script", "steps", "dag", "resource", "suspend", "data", "http", "plugin")
_MERGE_KEYS = ("name", "mountPath", "containerPort", "key")


class SpecError(Exception):
    """A spec that cannot run; the message is Argo's."""


class NotFound(SpecError):
    """A template that does not exist."""


def kind_of(template: Object) -> str:
    """The kind of a template; "" for none. `suspend: {}` counts."""
    return next((kind for kind in KINDS if template.get(kind) is not None), "")


def is_pod(template: Object) -> bool:
    return kind_of(template) in ("container", "containerSet", "script", "resource", "data")


def is_leaf(template: Object) -> bool:
    return kind_of(template) in ("container", "containerSet", "script", "resource", "data", "http", "plugin")


def merge(low: Any, high: Any) -> Any:
    """`high` over `low` as a strategic merge does: maps by key, lists of named things by name, others replaced."""
    if isinstance(low, Mapping) and isinstance(high, Mapping):
        return {k: merge(low.get(k), high.get(k)) for k in [*low, *(k for k in high if k not in low)]}
    if isinstance(low, list) and isinstance(high, list) and low and high:
        for key in _MERGE_KEYS:
            if all(isinstance(x, Mapping) and key in x for x in [*low, *high]):
                mine = {x[key]: x for x in high}
                kept = [merge(x, mine.pop(x[key])) if x[key] in mine else x for x in low]
                return [*kept, *mine.values()]
    return low if high is None else high


def join(workflow: Object, template: Object) -> Object:
    """The spec of a workflow over that of the WorkflowTemplate it refers to."""
    spec: Object = merge(copy.deepcopy(template), copy.deepcopy(workflow))
    for name in ("suspend",):
        spec.pop(name, None)
        if name in workflow:
            spec[name] = workflow[name]
    own = {p["name"]: p for p in _parameters(workflow) if "value" in p}
    lent = {p["name"]: p for p in _parameters(template) if "value" in p}
    if _parameters(spec):
        merged = [own.get(p["name"], lent.get(p["name"], p)) if "value" in p else p for p in _parameters(spec)]
        known = {p["name"] for p in _parameters(template)}
        merged.sort(key=lambda p: p["name"] in known)  # a new entry comes first, as in a strategic merge
        spec["arguments"] = spec["arguments"] | {"parameters": merged}
    return spec


def _parameters(spec: Object) -> list[Object]:
    return (spec.get("arguments") or {}).get("parameters") or []


def referred(spec: Object, namespace: str, store: Store) -> Object:
    """The WorkflowTemplate that `workflowTemplateRef` names; NotFound if it does not exist."""
    reference = spec["workflowTemplateRef"]
    return _holder(reference.get("name", ""), bool(reference.get("clusterScope")), namespace, store)


def _holder(name: str, cluster: bool, namespace: str, store: Store) -> Object:
    resource = CLUSTERWORKFLOWTEMPLATES if cluster else WORKFLOWTEMPLATES
    found = store.find(resource, "" if cluster else namespace, name)
    if found is None:
        raise NotFound(f'{resource.qualified} "{name}" not found')
    return found


def execution_spec(workflow: Object, store: Store) -> Object:
    """The spec that runs; stores it in the workflow's status if it comes from a WorkflowTemplate."""
    spec = workflow.get("spec") or {}
    if not spec.get("workflowTemplateRef"):
        return spec
    status = workflow.setdefault("status", {})
    stored = status.get("storedWorkflowTemplateSpec")
    if stored is None:
        namespace = workflow["metadata"]["namespace"]
        stored = join(spec, referred(spec, namespace, store).get("spec") or {})
    for name in ("suspend", "shutdown"):  # fields that are patched while the workflow runs
        stored.pop(name, None)
        if spec.get(name):
            stored[name] = spec[name]
    status["storedWorkflowTemplateSpec"] = stored
    return stored


@dataclass
class Source:
    """A source in which template names are looked up: `scope` is local, namespaced or cluster."""

    scope: str
    name: str
    templates: dict[str, Object]
    pod_metadata: Object = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The node's templateScope."""
        return f"{self.scope}/{self.name}"


def local(name: str, spec: Object) -> Source:
    """The workflow's own templates."""
    return _source("local", name, spec)


def _source(scope: str, name: str, spec: Object) -> Source:
    by_name = {t["name"]: t for t in spec.get("templates") or [] if t.get("name")}
    return Source(scope, name, by_name, spec.get("podMetadata") or {})


class Templates:
    """Looks templates up for one workflow. `stored` is its `status.storedTemplates`, extended as it goes; `defaults`
    its `templateDefaults`."""

    def __init__(self, store: Store, namespace: str, own: Source, stored: dict[str, Object], defaults: Object) -> None:
        self.store, self.namespace, self.own, self.stored, self.defaults = store, namespace, own, stored, defaults
        self.grown = False  # whether `stored` was extended
        self._sources: dict[tuple[str, str], Source] = {}
        self._finished: dict[int, Object] = {}

    def resolve(self, holder: Object, source: Source) -> tuple[Source, Object]:
        """The template that a step, a task, a hook or a node names, and the source for its own names."""
        inline, reference = holder.get("inline"), holder.get("templateRef")
        name = holder.get("template") or holder.get("templateName") or ""
        if inline:
            return source, self._with_defaults(inline)
        if reference:
            scope = "cluster" if reference.get("clusterScope") else "namespaced"
            kept = f"{scope}/{reference['name']}/{reference['template']}"
            home = self._lazy(scope, reference["name"])
            if kept not in self.stored:
                self._keep(kept, self._from(reference, self.source(scope, reference["name"])))
            return home, self._with_defaults(self.stored[kept])
        if not name:
            raise SpecError("failed to get a template")
        if source.scope == "local":
            if name not in source.templates:
                raise NotFound(f"template {name} not found")
            return source, self._with_defaults(source.templates[name])
        kept = f"{source.scope}/{source.name}/{name}"
        if kept not in self.stored:
            home = self.source(source.scope, source.name)
            if name not in home.templates:
                raise NotFound(f"template {name} not found")
            self._keep(kept, _labelled(home.templates[name], home.pod_metadata))
        return source, self._with_defaults(self.stored[kept])

    def of_node(self, node: Object) -> Object:
        """The template of a node, from the node's fields."""
        scope, _, name = (node.get("templateScope") or "local/").partition("/")
        source = self.own if scope == "local" else self._lazy(scope, name)
        return self.resolve(node, source)[1]

    def _keep(self, key: str, template: Object) -> None:
        self.stored[key] = template
        self.grown = True

    def _lazy(self, scope: str, name: str) -> Source:
        """The source without its templates, which may have been deleted."""
        return self._sources.get((scope, name)) or Source(scope, name, {})

    def source(self, scope: str, name: str) -> Source:
        if (scope, name) not in self._sources:
            holder = _holder(name, scope == "cluster", self.namespace, self.store)
            self._sources[scope, name] = _source(scope, name, holder.get("spec") or {})
        return self._sources[scope, name]

    @staticmethod
    def _from(reference: Object, source: Source) -> Object:
        if reference["template"] not in source.templates:
            raise NotFound(f"template {reference['template']} not found in workflow template {reference['name']}")
        return _labelled(source.templates[reference["template"]], source.pod_metadata)

    def _with_defaults(self, template: Object) -> Object:
        if not self.defaults:
            return template
        if id(template) not in self._finished:
            kind = kind_of(template)
            fitting = {k: v for k, v in self.defaults.items() if k not in KINDS or k == kind}
            self._finished[id(template)] = merge(fitting, template)
        return self._finished[id(template)]


def _labelled(template: Object, metadata: Object) -> Object:
    """The template with the podMetadata of the WorkflowTemplate it is from."""
    if not metadata:
        return template
    own = template.get("metadata") or {}
    both = {k: (own.get(k) or {}) | (metadata.get(k) or {}) for k in ("labels", "annotations")}
    return template | {"metadata": {k: v for k, v in both.items() if v}}
