"""Nodes. What the kubelet registers is accepted unchanged; a cordoned node gets a taint."""

from __future__ import annotations

from kubeproc.store import Object, Store

UNSCHEDULABLE = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def default(store: Store, node: Object, old: Object | None) -> None:
    spec = node.setdefault("spec", {})
    taints = [t for t in spec.get("taints") or () if t.get("key") != UNSCHEDULABLE["key"]]
    if spec.get("unschedulable"):
        taints.append(dict(UNSCHEDULABLE))
    if taints:
        spec["taints"] = taints
    else:
        spec.pop("taints", None)


def validate(store: Store, node: Object, old: Object | None) -> None:
    """The name is checked with the metadata."""
