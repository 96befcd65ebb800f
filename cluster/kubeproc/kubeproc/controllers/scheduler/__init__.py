"""Assigns each pending pod to a node, as kube-scheduler does: filter the nodes, score the rest, bind.

`demands` has a pod's requirements of nodes, `filters` the reasons against a node, `scores` the choice of the best one,
and `topology` inter-pod affinity and topology spreading, for both. A pod that fits nowhere gets the condition
PodScheduled=False and an event with kube-scheduler's message. It is retried when a node changes or a pod frees
resources: first the first pod of each group with the same requirements (`waiting`), and the next one once that pod has
a node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from kubeproc.controllers import conditions, events, usage
from kubeproc.controllers.claims import hand_out
from kubeproc.controllers.loop import Controller
from kubeproc.controllers.owners import deleting
from kubeproc.controllers.pod_making import finished
from kubeproc.controllers.scheduler import filters, scores, topology, waiting
from kubeproc.resources import CLAIMS, NODES, PODS
from kubeproc.store import Event, Key, Object, Store

NAME = "default-scheduler"
RETRY = 60.0
_LATER = "no new claims to deallocate, preemption: "


def reconcile(pod: Object, store: Store) -> float | None:
    spec = pod["spec"]
    if spec.get("nodeName") or deleting(pod) or finished(pod):
        return None
    if spec.get("schedulerName", NAME) != NAME or spec.get("schedulingGates"):
        return None
    nodes = store.list(NODES)
    if not nodes:
        return _unschedulable(pod, store, "no nodes available to schedule pods")
    claims, missing = filters.claims(pod, store)
    if missing:
        help_ = f"{_LATER}0/{len(nodes)} nodes are available: {len(nodes)} Preemption is not helpful for scheduling."
        if missing.endswith("not found"):
            help_ = "not found"
        return _unschedulable(pod, store, f"0/{len(nodes)} nodes are available: {missing}. {help_}")
    used = usage.of(store)
    neighbours = topology.Neighbours(pod, nodes, used)
    why: Counter[str] = Counter()
    fitting: list[Object] = []
    helpless = 0
    for node in nodes:
        reasons, final = filters.misfits(pod, node, used, claims, neighbours)
        why.update(reasons)
        helpless += final
        if not reasons:
            fitting.append(node)
    if fitting:
        _bind(pod, store, scores.best(pod, fitting, used, neighbours, store)["metadata"]["name"], claims)
        return None
    words = ", ".join(sorted(f"{count} {reason}" for reason, count in why.items()))
    total = f"0/{len(nodes)} nodes are available: "
    evict = {"Preemption is not helpful for scheduling": helpless,
             "No preemption victims found for incoming pod": len(nodes) - helpless}  # fmt: skip
    victims = ", ".join(sorted(f"{n} {text}" for text, n in evict.items() if n))
    return _unschedulable(pod, store, f"{total}{words}. {_LATER}{total}{victims}.")


def _bind(pod: Object, store: Store, node: str, claims: list[Object]) -> None:
    """Bind the pod to the node, and with it the claims that waited for their first consumer."""
    meta = pod["metadata"]
    for claim in claims:
        hand_out(claim, node, store)

    def bind(fresh: Object) -> None:
        if fresh["metadata"]["uid"] == meta["uid"] and not fresh["spec"].get("nodeName"):
            fresh["spec"]["nodeName"] = node
            conditions.put(fresh.setdefault("status", {}), "PodScheduled", True, "", "")

    store.modify(PODS, meta["namespace"], meta["name"], bind)
    message = f"Successfully assigned {meta['namespace']}/{meta['name']} to {node}"
    events.record(store, pod, events.NORMAL, "Scheduled", message, component=NAME)


def _unschedulable(pod: Object, store: Store, message: str) -> float:
    meta = pod["metadata"]

    def note(fresh: Object) -> None:
        conditions.put(fresh.setdefault("status", {}), "PodScheduled", False, "Unschedulable", message)
        for condition in fresh["status"]["conditions"]:
            condition["observedGeneration"] = fresh["metadata"].get("generation", 1)

    store.modify(PODS, meta["namespace"], meta["name"], note)
    events.record(store, pod, events.WARNING, "FailedScheduling", message, component=NAME)
    return RETRY


def _pending(store: Store) -> Iterable[Key]:
    """All pods that wait for a node."""
    found = store.peek(PODS, None, lambda p: not p["spec"].get("nodeName") and not finished(dict(p)))
    return [(p["metadata"]["namespace"], p["metadata"]["name"]) for p in found]


def _on_node(event: Event, store: Store) -> Iterable[Key]:
    before, after = event.previous or {}, event.object
    same = all(before.get(k) == after.get(k) for k in ("spec",)) and \
        (before.get("status") or {}).get("allocatable") == (after.get("status") or {}).get("allocatable") and \
        (before.get("metadata") or {}).get("labels") == after["metadata"].get("labels")  # fmt: skip
    return [] if same else _pending(store)


def _on_pod(event: Event, store: Store) -> Iterable[Key]:
    """A pod that ends or is removed frees resources; after a pod is bound the next of its group is tried, and pods with
    affinity to it."""
    before, pod = event.previous, event.object
    if before is None or finished(before):
        return []
    others = waiting.of(store)
    if not before["spec"].get("nodeName"):
        if not pod["spec"].get("nodeName"):
            return []
        return [*others.next(pod), *others.firsts(company=True, but=event.key)]
    return others.firsts() if event.type == "DELETED" or finished(pod) else []


def _on_claim(event: Event, store: Store) -> Iterable[Key]:
    return _pending(store)


CONTROLLER = Controller("scheduler", PODS, reconcile, finds={NODES: _on_node, PODS: _on_pod, CLAIMS: _on_claim})
