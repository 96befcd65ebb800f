"""Puts each pending pod on a node, as kube-scheduler does: filter the nodes, take the emptiest, bind.

Filters are kube-scheduler's that matter here: unschedulable and tainted nodes, node selector and required node
affinity, host ports, requests against what is allocatable, claims that exist. A pod that fits nowhere gets the
condition PodScheduled=False and an event in kube-scheduler's words, and is tried again when a node changes or a pod
makes room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from labkit.embedded import selectors
from labkit.embedded.controllers import conditions, events, usage
from labkit.embedded.controllers.loop import Controller
from labkit.embedded.controllers.owners import deleting
from labkit.embedded.controllers.pods import finished
from labkit.embedded.resources import CLAIMS, NODES, PODS
from labkit.embedded.store import Event, Key, Object, Store

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
    if missing := _missing_claim(pod, store):
        help_ = f"{_LATER}0/{len(nodes)} nodes are available: {len(nodes)} Preemption is not helpful for scheduling."
        if missing.endswith("not found"):
            help_ = "not found"
        return _unschedulable(pod, store, f"0/{len(nodes)} nodes are available: {missing}. {help_}")
    why: Counter[str] = Counter()
    fitting: list[tuple[float, str]] = []
    helpless = 0
    for node in nodes:
        reasons, final = _misfits(pod, node, usage.of(store))
        why.update(reasons)
        helpless += final
        if not reasons:
            fitting.append((-_free_share(node, usage.of(store)), node["metadata"]["name"]))
    if fitting:
        _bind(pod, store, min(fitting)[1])
        return None
    words = ", ".join(sorted(f"{count} {reason}" for reason, count in why.items()))
    total = f"0/{len(nodes)} nodes are available: "
    evict = {"Preemption is not helpful for scheduling": helpless,
             "No preemption victims found for incoming pod": len(nodes) - helpless}  # fmt: skip
    victims = ", ".join(sorted(f"{n} {text}" for text, n in evict.items() if n))
    return _unschedulable(pod, store, f"{total}{words}. {_LATER}{total}{victims}.")


def _misfits(pod: Object, node: Object, used: usage.Usage) -> tuple[list[str], bool]:
    """Why the pod can't run on the node, and whether no eviction could change that."""
    spec, node_spec, name = pod["spec"], node.get("spec") or {}, node["metadata"]["name"]
    if deleting(node):
        return ["node(s) were unschedulable"], True
    if node_spec.get("unschedulable") and not tolerated(
        spec, {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    ):
        return ["node(s) were unschedulable"], True
    for taint in node_spec.get("taints") or ():
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not tolerated(spec, taint):
            return ["node(s) had untolerated taint(s)"], True
    if not _wanted(spec, node):
        return ["node(s) didn't match Pod's node affinity/selector"], True
    taken = used.ports.get(name, Counter())
    if any(taken[p["hostPort"]] > 0 for c in spec["containers"] for p in c.get("ports") or () if p.get("hostPort")):
        return ["node(s) didn't have free ports for the requested pod ports"], False
    return _short_of(spec, node, used)


def _short_of(spec: Object, node: Object, used: usage.Usage) -> tuple[list[str], bool]:
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    asked = used.asked.get(node["metadata"]["name"], Counter())
    reasons, final = [], False
    for resource, count in usage.requests(spec).items():
        room = usage.amount(resource, allocatable[resource]) if resource in allocatable else 0
        if resource == usage.PODS_COUNT and resource not in allocatable:
            continue
        if count and asked[resource] + count > room:
            reasons.append("Too many pods" if resource == usage.PODS_COUNT else f"Insufficient {resource}")
            final = final or count > room
    return reasons, final


def tolerated(spec: Object, taint: Object) -> bool:
    """Whether one of the pod's tolerations covers the taint."""
    for toleration in spec.get("tolerations") or ():
        if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
            continue
        if toleration.get("key") and toleration["key"] != taint["key"]:
            continue
        if toleration.get("operator", "Equal") == "Exists" or toleration.get("value", "") == taint.get("value", ""):
            return True
    return False


def _wanted(spec: Object, node: Object) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(k) != v for k, v in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    return any(_term(term, node) for term in required.get("nodeSelectorTerms") or ())


def _term(term: Object, node: Object) -> bool:
    """One nodeSelectorTerm: all its expressions over labels and fields (only metadata.name exists) must hold."""
    labels, name = node["metadata"].get("labels") or {}, node["metadata"]["name"]
    if not term.get("matchExpressions") and not term.get("matchFields"):
        return False
    compare = {"Gt": lambda a, b: a > b, "Lt": lambda a, b: a < b}
    simple = []
    for e in term.get("matchExpressions") or ():
        if e["operator"] in compare:
            if not (labels.get(e["key"], "").isdigit() and
                    compare[e["operator"]](int(labels[e["key"]]), int(e["values"][0]))):  # fmt: skip
                return False
        else:
            simple.append(e)
    if not selectors.from_spec({"matchExpressions": simple})(node):
        return False
    by_name = {"metadata": {"labels": {"metadata.name": name}}}
    return selectors.from_spec({"matchExpressions": term.get("matchFields") or []})(by_name)


def _missing_claim(pod: Object, store: Store) -> str:
    """Why the pod's claims keep it from being scheduled; empty when they don't."""
    for volume in pod["spec"].get("volumes") or ():
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if not name:
            continue
        claim = store.find(CLAIMS, pod["metadata"]["namespace"], name)
        if claim is None:
            return f'persistentvolumeclaim "{name}" not found'
        if deleting(claim):
            return f'persistentvolumeclaim "{name}" is being deleted'
        if (claim.get("status") or {}).get("phase") != "Bound":
            return "pod has unbound immediate PersistentVolumeClaims"
    return ""


def _free_share(node: Object, used: usage.Usage) -> float:
    """The mean of the free shares of CPU and memory."""
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    asked = used.asked.get(node["metadata"]["name"], Counter())
    shares = []
    for resource in (usage.CPU, "memory"):
        room = usage.amount(resource, allocatable.get(resource, "0"))
        shares.append(1 - asked[resource] / room if room else 0.0)
    return sum(shares) / len(shares)


def _bind(pod: Object, store: Store, node: str) -> None:
    meta = pod["metadata"]

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
    waiting = store.list(PODS, None, lambda p: not p["spec"].get("nodeName") and not finished(dict(p)))
    return [(p["metadata"]["namespace"], p["metadata"]["name"]) for p in waiting]


def _on_node(event: Event, store: Store) -> Iterable[Key]:
    before, after = event.previous or {}, event.object
    same = all(before.get(k) == after.get(k) for k in ("spec",)) and \
        (before.get("status") or {}).get("allocatable") == (after.get("status") or {}).get("allocatable") and \
        (before.get("metadata") or {}).get("labels") == after["metadata"].get("labels")  # fmt: skip
    return [] if same else _pending(store)


def _on_pod(event: Event, store: Store) -> Iterable[Key]:
    """A pod that ends or goes makes room for others."""
    before = event.previous
    if before is None or not before["spec"].get("nodeName") or finished(before):
        return []
    return _pending(store) if event.type == "DELETED" or finished(event.object) else []


def _on_claim(event: Event, store: Store) -> Iterable[Key]:
    return _pending(store)


CONTROLLER = Controller("scheduler", PODS, reconcile, finds={NODES: _on_node, PODS: _on_pod, CLAIMS: _on_claim})
