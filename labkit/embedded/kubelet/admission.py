"""Whether a pod that nobody has scheduled, since it names its node itself, may run there: kubelet's own check of it.

What the scheduler has bound was checked by the scheduler, against the same numbers. The words are those of
pkg/kubelet/lifecycle/predicate.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from labkit.embedded.kubelet.status import Verdict

Object = dict[str, Any]
FIRST = ("pods", "cpu", "memory", "ephemeral-storage")
SELECTOR = "node(s) didn't match Pod's node affinity/selector"
TAINT = "node(s) had taints that the pod didn't tolerate"


def is_new(pod: Object) -> bool:
    """Whether nobody has found yet that the pod fits: no scheduler, and no kubelet earlier."""
    status = pod.get("status") or {}
    bound = any(c["type"] == "PodScheduled" and c["status"] == "True" for c in status.get("conditions") or ())
    return not bound and not status.get("startTime")


def refusal(pod: Object, node: Object, room: Mapping[str, str], others: Iterable[Object]) -> Verdict | None:
    """Why the pod can't be on the node, which has `room` for it and those that are there; None: it can."""
    # The scheduler's own functions, loaded when the first such pod comes: few clusters see one.
    from labkit.embedded.controllers import usage
    from labkit.embedded.controllers.scheduler import demands

    spec = pod["spec"]
    used = sum((usage.requests(other["spec"]) for other in others), Counter[str]())
    asked = usage.requests(spec)
    for name in sorted(asked, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST)):
        capacity = usage.amount(name, room[name]) if name in room else None
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
    return Verdict(reason, f"Pod was rejected: {why}", rejected=True)
