"""Whether a pod that nobody has scheduled, since it names its node itself, may run there: kubelet's own check of it.

What the scheduler has bound was checked by the scheduler, against the same numbers. The words are those of
pkg/kubelet/lifecycle/predicate.go.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from labkit.embedded import demands
from labkit.embedded.kubelet.client import Refused, Unreachable
from labkit.embedded.kubelet.status import Verdict

if TYPE_CHECKING:
    from labkit.embedded.kubelet.pod import Pod

Object = dict[str, Any]
FIRST = ("pods", "cpu", "memory", "ephemeral-storage")
PREFIX = "Pod was rejected: "
SELECTOR = "node(s) didn't match Pod's node affinity/selector"
TAINT = "node(s) had taints that the pod didn't tolerate"


async def admit(pod: Pod) -> bool:
    """Look whether a pod that has chosen its node by itself fits there; False where it doesn't, or is being stopped."""
    if not is_new(pod.object):
        return True
    while True:
        try:
            node = await pod.kubelet.api.get(f"/api/v1/nodes/{pod.host.name}")
            break
        except (Refused, *Unreachable):
            if await pod.pause(pod.retry):
                return False
    before = itertools.takewhile(lambda other: other is not pod, pod.host.pods())
    others = [other.object for other in before if not other.verdict]
    found = refusal(pod.object, node, pod.host.allocatable, others)
    if found:
        pod.event("Warning", found.reason, found.message.removeprefix(PREFIX))
        pod.fail(found, 0)
    return found is None


def is_new(pod: Object) -> bool:
    """Whether nobody has found yet that the pod fits: no scheduler, and no kubelet earlier."""
    status = pod.get("status") or {}
    bound = any(c["type"] == "PodScheduled" and c["status"] == "True" for c in status.get("conditions") or ())
    return not bound and not status.get("startTime")


def refusal(pod: Object, node: Object, room: Mapping[str, str], others: Iterable[Object]) -> Verdict | None:
    """Why the pod can't be on the node, which has `room` for it and those that are there; None: it can."""
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
