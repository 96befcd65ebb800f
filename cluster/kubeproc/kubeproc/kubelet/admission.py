"""Whether a pod that names its node itself, and so was not scheduled, may run there: the kubelet's own check.

The scheduler has checked the other pods against the same numbers. The messages are those of
pkg/kubelet/lifecycle/predicate.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from kubeproc import demands
from kubeproc.kubelet.pod_status import Verdict

Object = dict[str, Any]
FIRST = ("pods", "cpu", "memory", "ephemeral-storage")
PREFIX = "Pod was rejected: "
SELECTOR = "node(s) didn't match Pod's node affinity/selector"
TAINT = "node(s) had taints that the pod didn't tolerate"


def is_new(pod: Object) -> bool:
    """Whether neither the scheduler nor an earlier kubelet has found that the pod fits."""
    status = pod.get("status") or {}
    bound = any(c["type"] == "PodScheduled" and c["status"] == "True" for c in status.get("conditions") or ())
    return not bound and not status.get("startTime")


def refusal(pod: Object, node: Object, room: Mapping[str, str], others: Iterable[Object]) -> Verdict | None:
    """Why the pod can't run on the node; None if it can. `room` is the node's allocatable, `others` are the pods on the node."""
    spec = pod["spec"]
    used = sum((demands.requests(other["spec"]) for other in others), Counter[str]())
    asked = demands.requests(spec)
    for name in sorted(asked, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST)):
        capacity = demands.amount(name, room[name]) if name in room else None
        if capacity is not None and asked[name] and asked[name] > capacity - used[name]:
            numbers = f"{name}, requested: {asked[name]}, used: {used[name]}, capacity: {capacity}"
            return _rejected(f"OutOf{name}", f"Node didn't have enough resource: {numbers}")
    if not demands.wanted(spec, node):
        return _rejected("NodeAffinity", f"Predicate NodeAffinity failed: {SELECTOR}")
    taints = (node.get("spec") or {}).get("taints") or ()
    if any(t.get("effect") == "NoExecute" and not demands.tolerated(spec, t) for t in taints):
        return _rejected("TaintToleration", f"Predicate TaintToleration failed: {TAINT}")
    return None


def _rejected(reason: str, why: str) -> Verdict:
    return Verdict(reason, PREFIX + why, rejected=True)
