"""Roles and their bindings: defaults and checks of pkg/apis/rbac/validation.

Privilege escalation depends on the user, and is checked in `api.rest.escalation`.
"""

from __future__ import annotations

from typing import Any

from kubeproc.admission.causes import Causes
from kubeproc.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES, by_kind
from kubeproc.store import Object, Store

GROUP = ROLES.group
KINDS = ("ServiceAccount", "User", "Group")


def default(store: Store, obj: Object, old: Object | None) -> None:
    if "roleRef" not in obj:
        return
    obj["roleRef"]["apiGroup"] = obj["roleRef"].get("apiGroup") or GROUP
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in ("User", "Group") and not subject.get("apiGroup"):
            subject["apiGroup"] = GROUP


def validate(store: Store, obj: Object, old: Object | None) -> None:
    resource = by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    causes = Causes()
    if resource in (ROLES, CLUSTERROLES):
        for i, rule in enumerate(obj.get("rules") or ()):
            _rule(causes, rule, f"rules[{i}]", resource is ROLES)
        rule = obj.get("aggregationRule")
        if rule is not None and not rule.get("clusterRoleSelectors"):
            words = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            causes.required("aggregationRule.clusterRoleSelectors", words)
    else:
        _binding(causes, obj, resource is ROLEBINDINGS)
        if old is not None and obj.get("roleRef") != old.get("roleRef"):
            causes.invalid("roleRef", obj.get("roleRef"), "cannot change roleRef")
    causes.settle(resource, obj["metadata"]["name"])


def _rule(causes: Causes, rule: Object, path: str, namespaced: bool) -> None:
    if not rule.get("verbs"):
        causes.required(f"{path}.verbs", "verbs must contain at least one value")
    urls = rule.get("nonResourceURLs")
    if urls:
        if namespaced:
            causes.invalid(f"{path}.nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs")
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            words = "rules cannot apply to both regular resources and non-resource URLs"
            causes.invalid(f"{path}.nonResourceURLs", urls, words)
        return
    if not rule.get("apiGroups"):
        causes.required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        causes.required(f"{path}.resources", "resource rules must supply at least one resource")


def _binding(causes: Causes, binding: Object, namespaced: bool) -> None:
    ref = binding.get("roleRef") or {}
    causes.one_of("roleRef.apiGroup", ref.get("apiGroup", ""), (GROUP,))
    causes.one_of("roleRef.kind", ref.get("kind", ""), ("Role", "ClusterRole") if namespaced else ("ClusterRole",))
    if not ref.get("name"):
        causes.required("roleRef.name")
    for i, subject in enumerate(binding.get("subjects") or ()):
        _subject(causes, subject, f"subjects[{i}]", namespaced)


def _subject(causes: Causes, subject: dict[str, Any], path: str, namespaced: bool) -> None:
    if not subject.get("name"):
        causes.required(f"{path}.name")
    kind = subject.get("kind", "")
    causes.one_of(f"{path}.kind", kind, KINDS)
    if kind == "ServiceAccount":
        causes.one_of(f"{path}.apiGroup", subject.get("apiGroup") or "", ("",))
        if not namespaced and not subject.get("namespace"):
            causes.required(f"{path}.namespace")
    elif kind in KINDS:
        causes.one_of(f"{path}.apiGroup", subject.get("apiGroup") or "", (GROUP,))


RESOURCES = (ROLES, CLUSTERROLES, ROLEBINDINGS, CLUSTERROLEBINDINGS)
