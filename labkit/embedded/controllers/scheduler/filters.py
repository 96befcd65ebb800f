"""Why a pod can't run on a node: kube-scheduler's filters in its order, the first that says no; its words.

They are: unschedulable and tainted nodes, node selector and required node affinity, host ports, requests against what is
allocatable, claims, even spreading, affinity between pods.
"""

from __future__ import annotations

from collections import Counter

from labkit.embedded import selectors
from labkit.embedded.controllers import usage
from labkit.embedded.controllers.claims import names, node_of, waits_for_pod
from labkit.embedded.controllers.owners import deleting
from labkit.embedded.controllers.scheduler.topology import Neighbours
from labkit.embedded.resources import CLAIMS
from labkit.embedded.store import Object, Store


def misfits(
    pod: Object, node: Object, used: usage.Usage, claims: list[Object], neighbours: Neighbours
) -> tuple[list[str], bool]:
    """Why the pod can't run on the node, and whether no eviction could change that."""
    spec, node_spec, name = pod["spec"], node.get("spec") or {}, node["metadata"]["name"]
    if deleting(node):
        return ["node(s) were unschedulable"], True
    if node_spec.get("unschedulable") and not tolerated(
        spec, {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    ):
        return ["node(s) were unschedulable"], True
    if untolerated(spec, node):
        return ["node(s) had untolerated taint(s)"], True
    if not wanted(spec, node):
        return ["node(s) didn't match Pod's node affinity/selector"], True
    wanted_ports = [p["hostPort"] for c in spec["containers"] for p in c.get("ports") or () if p.get("hostPort")]
    if any(taken[port] > 0 for taken in used.ports.values() for port in wanted_ports):  # the nodes share one host
        return ["node(s) didn't have free ports for the requested pod ports"], False
    lacking, final = _short_of(spec, node, used)
    if lacking:
        return lacking, final
    if any(node_of(claim) not in ("", name) for claim in claims):
        return ["node(s) didn't match PersistentVolume's node affinity"], True
    return neighbours.misfits(node)


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


def untolerated(spec: Object, node: Object) -> bool:
    """Whether a taint of the node keeps the pod away."""
    taints = (node.get("spec") or {}).get("taints") or ()
    return any(t.get("effect") in ("NoSchedule", "NoExecute") and not tolerated(spec, t) for t in taints)


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


def wanted(spec: Object, node: Object) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(k) != v for k, v in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    return any(meets(term, node) for term in required.get("nodeSelectorTerms") or ())


def meets(term: Object, node: Object) -> bool:
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


def claims(pod: Object, store: Store) -> tuple[list[Object], str]:
    """The pod's claims, and why they keep it from being scheduled anywhere: empty when they don't."""
    found = []
    for name in names(pod):
        claim = store.find(CLAIMS, pod["metadata"]["namespace"], name)
        if claim is None:
            return [], f'persistentvolumeclaim "{name}" not found'
        if deleting(claim):
            return [], f'persistentvolumeclaim "{name}" is being deleted'
        if (claim.get("status") or {}).get("phase") != "Bound" and not waits_for_pod(claim, store):
            return [], "pod has unbound immediate PersistentVolumeClaims"
        found.append(claim)
    return found, ""
