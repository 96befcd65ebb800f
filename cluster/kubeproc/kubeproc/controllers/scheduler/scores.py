"""The best of the nodes that fit: kube-scheduler's default scores and their weights.

Each score is from 0 to 100: free resources (a container without requests counts with 100m and 200Mi), CPU and memory
used evenly, preferred node affinity, PreferNoSchedule taints, preferred affinity between pods, and even spreading: by
the pod's own soft constraints, else over the nodes for the pods of one Service or ReplicaSet. Every node has all
images. Among several best nodes kube-scheduler chooses randomly; this scheduler takes the one with the most free
resources, then the first by name.
"""

from __future__ import annotations

import math
from collections import Counter

from kubeproc import demands, selectors
from kubeproc.controllers import usage
from kubeproc.controllers.scheduler.topology import HOSTNAME, Neighbours, label, rules
from kubeproc.resources import REPLICASETS, SERVICES
from kubeproc.store import Object, Store

RESOURCES = (demands.CPU, "memory")
SKEW = 3  # of the default spreading


def best(pod: Object, nodes: list[Object], used: usage.Usage, neighbours: Neighbours, store: Store) -> Object:
    """The node with the best score."""
    if len(nodes) == 1:
        return nodes[0]
    taken = [_shares(pod, node, used) for node in nodes]
    weighted = (
        (3, _scaled([_unloved(pod, node) for node in nodes], reverse=True)),
        (2, _scaled([_preferred(pod, node) for node in nodes])),
        (1, [sum(max(0, int(100 * (1 - share))) for share in shares) // len(shares) for shares in taken]),
        (1, _balance(pod, nodes, used)),
        (2, _spreading(pod, nodes, neighbours, store)),
        (2, _between([neighbours.liking(node) for node in nodes])),
    )
    totals = [sum(weight * scores[i] for weight, scores in weighted) for i in range(len(nodes))]
    order = [
        (-total, sum(shares), node["metadata"]["name"])
        for total, shares, node in zip(totals, taken, nodes, strict=True)
    ]
    return nodes[order.index(min(order))]


def _shares(pod: Object, node: Object, used: usage.Usage, assumed: bool = True) -> list[float]:
    """The shares of the node's CPU and memory that would be taken."""
    allocatable, name = (node.get("status") or {}).get("allocatable") or {}, node["metadata"]["name"]
    asked = (used.assumed if assumed else used.asked).get(name, Counter[str]())
    more = demands.assumed(pod["spec"]) if assumed else demands.requests(pod["spec"])
    shares = []
    for resource in RESOURCES:
        room = demands.amount(resource, allocatable.get(resource, "0"))
        shares.append((asked[resource] + more[resource]) / room if room else 1.0)
    return shares


def _balance(pod: Object, nodes: list[Object], used: usage.Usage) -> list[int]:
    asked = demands.requests(pod["spec"])
    if not any(asked[resource] for resource in RESOURCES):
        return [0] * len(nodes)
    shares = [[min(share, 1.0) for share in _shares(pod, node, used, assumed=False)] for node in nodes]
    return [int((1 - abs(cpu - memory) / 2) * 100) for cpu, memory in shares]


def _preferred(pod: Object, node: Object) -> int:
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    wishes = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return sum(wish["weight"] for wish in wishes if demands.meets(wish["preference"], node))


def _unloved(pod: Object, node: Object) -> int:
    taints = (node.get("spec") or {}).get("taints") or ()
    return sum(t.get("effect") == "PreferNoSchedule" and not demands.tolerated(pod["spec"], t) for t in taints)


def _spreading(pod: Object, nodes: list[Object], neighbours: Neighbours, store: Store) -> list[int]:
    wanted = rules(pod["spec"], "ScheduleAnyway")
    own = bool(pod["spec"].get("topologySpreadConstraints"))
    if not own and (selector := _group(pod, store)):
        wanted = [{"topologyKey": HOSTNAME, "maxSkew": SKEW, "labelSelector": selector}]
    spreads = neighbours.spreads(wanted)
    if not spreads:
        return [0] * len(nodes)
    counted = [node for node in nodes if all(label(node, spread.key) is not None for spread in spreads)]
    points: list[int | None] = []
    for node in nodes:
        if node not in counted:
            points.append(None)
            continue
        total = 0.0
        for spread in spreads:
            domains = len({label(n, spread.key) for n in counted})
            total += spread.counts[label(node, spread.key) or ""] * math.log(domains + 2) + spread.most - 1
        points.append(round(total))
    known = [p for p in points if p is not None]
    most, least = max(known, default=0), min(known, default=0)
    return [0 if p is None else 100 * (most + least - p) // most if most else 100 for p in points]


def _group(pod: Object, store: Store) -> Object | None:
    """A selector of the pod's peers: those of its Services and of its ReplicaSet."""
    meta = pod["metadata"]
    labels, expressions = dict[str, str](), list[Object]()
    for service in store.list(SERVICES, meta["namespace"]):
        found = service["spec"].get("selector")
        if found and selectors.from_spec({"matchLabels": found})(pod):
            labels |= found
    owner = next((o for o in meta.get("ownerReferences") or () if o.get("controller")), None)
    if owner and owner["kind"] == REPLICASETS.kind:
        replicas = store.find(REPLICASETS, meta["namespace"], owner["name"])
        selector = (replicas or {}).get("spec", {}).get("selector") or {}
        labels |= selector.get("matchLabels") or {}
        expressions += selector.get("matchExpressions") or []
    return {"matchLabels": labels, "matchExpressions": expressions} if labels or expressions else None


def _scaled(values: list[int], reverse: bool = False) -> list[int]:
    """The largest becomes 100, or with `reverse` 0."""
    most = max(values)
    scaled = [100 * value // most if most else 0 for value in values]
    return [100 - value for value in scaled] if reverse else scaled


def _between(values: list[int]) -> list[int]:
    """The largest becomes 100, the smallest 0."""
    least, most = min(values), max(values)
    return [int(100 * (value - least) / (most - least)) if most > least else 0 for value in values]
