"""What a pod asks of a node: CPU, memory and the like, and which nodes it may run on (tolerations, node selector, node affinity).

The scheduler checks this before it binds a pod; the kubelet checks it for a pod that sets its own nodeName.
"""

from __future__ import annotations

from collections import Counter

from kubeproc import quantity, selectors
from kubeproc.store import Object

CPU, PODS_COUNT = "cpu", "pods"
DEFAULTS = {CPU: "100m", "memory": "200Mi"}


def amount(name: str, value: str) -> int:
    """A quantity as an integer: CPU in thousandths, the rest in units."""
    return quantity.millis(value) if name == CPU else quantity.whole(value)


def requests(spec: Object) -> Counter[str]:
    """What a pod asks for: the sum over its containers, or the request of its largest init container if that is
    more."""
    total: Counter[str] = Counter({PODS_COUNT: 1})
    for container in spec["containers"]:
        for name, value in ((container.get("resources") or {}).get("requests") or {}).items():
            total[name] += amount(name, value)
    for container in spec.get("initContainers") or ():
        for name, value in ((container.get("resources") or {}).get("requests") or {}).items():
            total[name] = max(total[name], amount(name, value))
    return total


def assumed(spec: Object) -> Counter[str]:
    """The requests that scoring uses: a container without requests gets default ones."""
    total: Counter[str] = Counter()
    for container in spec["containers"]:
        asked = (container.get("resources") or {}).get("requests") or {}
        for name, value in DEFAULTS.items():
            total[name] += amount(name, asked.get(name, value))
    return total


def untolerated(spec: Object, node: Object) -> bool:
    """Whether the node has a taint that the pod does not tolerate."""
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


def named(spec: Object) -> set[str] | None:
    """The nodes that the required node affinity names, or None unless every term names some. No other node can
    match."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or ()
    found: set[str] = set()
    for term in terms:
        fields = [f for f in term.get("matchFields") or () if f["key"] == "metadata.name" and f["operator"] == "In"]
        if not fields:
            return None
        found |= set.intersection(*(set(f["values"]) for f in fields))
    return found if terms else None


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
