"""Privilege escalation: users can't grant permissions that they don't hold. Checked when a role or binding is written.

Users who may `escalate` roles or `bind` the role, and `system:masters`, are exempt. Sources: pkg/registry/rbac,
escalation_check.go and the `policybased` storages.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from kubeproc.api_errors import forbidden, not_found
from kubeproc.rbac.authorizer import GROUP, MASTERS, Authorizer
from kubeproc.rbac.rules import Attributes, described, go_list, missing
from kubeproc.rbac.users import User
from kubeproc.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES, Resource

Object = dict[str, Any]
EVERYTHING: list[Object] = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]
ONLY_COLLECTED = ("ownerReferences", "finalizers", "resourceVersion", "managedFields", "generation")


def check(request: Request, resource: Resource, namespace: str, new: Object, old: Object | None) -> None:
    """403 if `new`, a role or a binding, would grant permissions that its writer does not hold."""
    user: User = request.state.user
    if resource.group != GROUP or MASTERS in user.groups or (old is not None and _same(new, old)):
        return
    authorizer: Authorizer = request.app.state.authorizer
    name = new["metadata"].get("name", "")
    if resource in (ROLES, CLUSTERROLES):
        if authorizer.decide(user, Attributes("escalate", GROUP, resource.plural, "", namespace, name)).allowed:
            return
        if new.get("aggregationRule") and _lacking(authorizer, user, "", EVERYTHING):
            raise forbidden(resource, name, "must have cluster-admin privileges to use the aggregationRule")
        rules = new.get("rules") or []
    elif resource in (ROLEBINDINGS, CLUSTERROLEBINDINGS):
        ref = new.get("roleRef") or {}
        if ref.get("kind") not in ("Role", "ClusterRole") or not ref.get("name"):
            return  # admission reports the error
        plural = ROLES.plural if ref["kind"] == "Role" else CLUSTERROLES.plural
        if authorizer.decide(user, Attributes("bind", GROUP, plural, "", namespace, ref["name"])).allowed:
            return
        found = authorizer.role_rules(ref, namespace)
        if found is None:
            raise not_found(resource, ref["name"])  # upstream's text names the binding's kind, too
        rules = found
    else:
        return
    if lacking := _lacking(authorizer, user, namespace, rules):
        who = f'user "{user.name}" (groups={go_list(user.groups)})'
        words = f"{who} is attempting to grant RBAC permissions not currently held:\n"
        raise forbidden(resource, name, words + "\n".join(described(lacking)))


def _lacking(authorizer: Authorizer, user: User, namespace: str, rules: list[Object]) -> list[Object]:
    return missing((rule for rule, _ in authorizer.rules(user, namespace)), rules)


def _same(new: Object, old: Object) -> bool:
    """Whether the update changes only metadata that the garbage collector needs."""

    def rest(obj: Object) -> Object:
        meta = {k: v for k, v in obj["metadata"].items() if k not in ONLY_COLLECTED}
        return obj | {"metadata": meta}

    return rest(new) == rest(old)
