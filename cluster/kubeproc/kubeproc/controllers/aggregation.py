"""A ClusterRole with an aggregationRule has the rules of all ClusterRoles that its selectors match, each once."""

from __future__ import annotations

from kubeproc.controllers.loop import Controller
from kubeproc.resources import CLUSTERROLES
from kubeproc.selectors import from_spec
from kubeproc.store import Event, Key, Object, Store


def reconcile(role: Object, store: Store) -> None:
    chosen = (role.get("aggregationRule") or {}).get("clusterRoleSelectors")
    if not chosen:
        return
    matches = [from_spec(selector) for selector in chosen]
    rules: list[Object] = []
    for other in store.list(CLUSTERROLES):
        if other["metadata"]["name"] != role["metadata"]["name"] and any(match(other) for match in matches):
            rules += [rule for rule in other.get("rules") or () if rule not in rules]
    if rules != (role.get("rules") or []):
        store.update(CLUSTERROLES, role | {"rules": rules})


def _aggregating(event: Event, store: Store) -> list[Key]:
    return [("", r["metadata"]["name"]) for r in store.peek(CLUSTERROLES) if r.get("aggregationRule")]


CONTROLLER = Controller("aggregation", CLUSTERROLES, reconcile, finds={CLUSTERROLES: _aggregating})
