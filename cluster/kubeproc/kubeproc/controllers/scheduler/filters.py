"""Why a pod can't run on a node: kube-scheduler's filters in its order, up to the first that fails, with its messages.

They are: unschedulable and tainted nodes, node selector and required node affinity, host ports, requests against what is
allocatable, claims, even spreading, affinity between pods.
"""

from __future__ import annotations

from collections import Counter

from kubeproc import demands
from kubeproc.controllers import usage
from kubeproc.controllers.claims import names as claim_names
from kubeproc.controllers.claims import node_of, waits_for_pod
from kubeproc.controllers.owners import deleting
from kubeproc.controllers.scheduler.topology import Neighbours
from kubeproc.demands import named, tolerated, untolerated, wanted
from kubeproc.resources import CLAIMS
from kubeproc.store import Object, Store


def misfits(
    pod: Object, node: Object, used: usage.Usage, claims: list[Object], neighbours: Neighbours
) -> tuple[list[str], bool]:
    """Why the pod can't run on the node, and whether no eviction could change that."""
    spec, node_spec, name = pod["spec"], node.get("spec") or {}, node["metadata"]["name"]
    names = named(spec)
    if names is not None and name not in names:
        return ["node(s) didn't satisfy plugin(s) [NodeAffinity]"], True
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
    for resource, count in demands.requests(spec).items():
        room = demands.amount(resource, allocatable[resource]) if resource in allocatable else 0
        if resource == demands.PODS_COUNT and resource not in allocatable:
            continue
        if count and asked[resource] + count > room:
            reasons.append("Too many pods" if resource == demands.PODS_COUNT else f"Insufficient {resource}")
            final = final or count > room
    return reasons, final


def claims(pod: Object, store: Store) -> tuple[list[Object], str]:
    """The pod's claims, and why they make it unschedulable; empty if they don't."""
    found = []
    for name in claim_names(pod):
        claim = store.find(CLAIMS, pod["metadata"]["namespace"], name)
        if claim is None:
            return [], f'persistentvolumeclaim "{name}" not found'
        if deleting(claim):
            return [], f'persistentvolumeclaim "{name}" is being deleted'
        if (claim.get("status") or {}).get("phase") != "Bound" and not waits_for_pod(claim, store):
            return [], "pod has unbound immediate PersistentVolumeClaims"
        found.append(claim)
    return found, ""
