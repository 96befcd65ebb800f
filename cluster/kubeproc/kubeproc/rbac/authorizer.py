"""The authorizer: decides whether a user may do something, for each request and each access review.

Mechanism. Bindings are indexed by subject and namespace, with the rules of their roles, at the first decision after a
role or binding has changed (a store event); decisions are cached until the next such change. A decision is therefore
one lookup, and a new Role applies to the next request. In order: `system:masters` may do everything; nodes have rules
of their own (`node`); then ClusterRoleBindings, then the namespace's RoleBindings.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kubeproc.rbac import node_rules
from kubeproc.rbac.rules import Attributes, Rule
from kubeproc.rbac.users import User, account_name
from kubeproc.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES, Resource
from kubeproc.store import Event, Store

Object = dict[str, Any]

GROUP = ROLES.group
MASTERS, NODES = "system:masters", "system:nodes"
REMEMBERED = 20_000  # decisions


class Decision(NamedTuple):
    allowed: bool
    reason: str = ""


class Grant(NamedTuple):
    """The rules that one binding grants to one subject; `source` names both, as in a review's reason."""

    source: str
    rules: tuple[tuple[Rule, Object], ...]


Index = dict[str, list[Grant]]  # by subject


class Authorizer:
    def __init__(self, store: Store) -> None:
        self.store = store
        self._indexes: dict[str, Index] = {}  # by namespace, "" for the cluster
        self._decisions: dict[tuple[User, Attributes], Decision] = {}
        store.watch(self._changed)

    def _changed(self, event: Event) -> None:
        if event.resource.group == GROUP:
            self._indexes.clear()
            self._decisions.clear()

    def decide(self, user: User, wanted: Attributes) -> Decision:
        decision = self._decisions.get((user, wanted))
        if decision is None:
            if len(self._decisions) >= REMEMBERED:
                self._decisions.clear()
            decision = self._decisions[user, wanted] = self._decide(user, wanted)
        return decision

    def _decide(self, user: User, wanted: Attributes) -> Decision:
        if MASTERS in user.groups:
            return Decision(True)
        if NODES in user.groups and any(rule.allows(wanted) for rule in node_rules.RULES):
            return Decision(True)
        for grant in self._grants(user, wanted.namespace):
            if any(rule.allows(wanted) for rule, _ in grant.rules):
                return Decision(True, f"RBAC: allowed by {grant.source}")
        return Decision(False)

    def rules(self, user: User, namespace: str) -> list[tuple[Rule, Object]]:
        """All rules that apply to the user: those of the cluster, and of the namespace if one is given."""
        return [rule for grant in self._grants(user, namespace) for rule in grant.rules]

    def _grants(self, user: User, namespace: str) -> list[Grant]:
        subjects = [f"User {user.name}", *(f"Group {group}" for group in user.groups)]
        spaces = ("", namespace) if namespace else ("",)
        return [g for space in spaces for s in subjects for g in self._index(space).get(s, ())]

    # -- the index ---------------------------------------------------------------------------------------------------

    def _index(self, namespace: str) -> Index:
        index = self._indexes.get(namespace)
        if index is None:
            index = {}
            bindings = self.store.peek(ROLEBINDINGS, namespace) if namespace else self.store.peek(CLUSTERROLEBINDINGS)
            for binding in sorted(bindings, key=lambda b: b["metadata"]["name"]):
                self._add(index, binding, namespace)
            self._indexes[namespace] = index
        return index

    def _add(self, index: Index, binding: Object, namespace: str) -> None:
        ref, name = binding["roleRef"], binding["metadata"]["name"]
        found = self.role_rules(ref, namespace)
        if found is None:
            return  # a binding to a missing role grants nothing
        rules = tuple((Rule.of(rule), rule) for rule in found)
        what = f'{binding["kind"]} "{name}{"/" + namespace if namespace else ""}" of {ref["kind"]} "{ref["name"]}"'
        for subject in binding.get("subjects") or ():
            space = subject.get("namespace") or namespace
            if subject["kind"] == "ServiceAccount":
                key, who = f"User {account_name(space, subject['name'])}", f"{subject['name']}/{space}"
            else:
                key, who = f"{subject['kind']} {subject['name']}", subject["name"]
            index.setdefault(key, []).append(Grant(f'{what} to {subject["kind"]} "{who}"', rules))

    def role_rules(self, ref: Object, namespace: str) -> list[Object] | None:
        """The rules of the role that a binding in `namespace` refers to; None if there is no such role."""
        resource: Resource = CLUSTERROLES if ref["kind"] == "ClusterRole" else ROLES
        role = self.store.find(resource, "" if resource is CLUSTERROLES else namespace, ref["name"])
        return None if role is None else role.get("rules") or []
