"""Inter-pod affinity and anti-affinity, and topology spreading over the values of a node's label.

The unfinished pods of the nodes (`usage`) are counted by the node's value of a term's topologyKey.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from kubeproc import selectors
from kubeproc.controllers.usage import Placed, Usage
from kubeproc.demands import untolerated, wanted
from kubeproc.store import Object

HOSTNAME = "kubernetes.io/hostname"
REQUIRED, PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


def terms(spec: Object, kind: str, when: str) -> list[Object]:
    """The terms of podAffinity or podAntiAffinity (`kind`)."""
    return ((spec.get("affinity") or {}).get(kind) or {}).get(when) or []


def wants_company(pod: Object) -> bool:
    return bool(terms(pod["spec"], "podAffinity", REQUIRED))


def covers(term: Object, namespace: str, pod: Placed) -> bool:
    """Whether the term, of a pod in `namespace`, matches the other pod. A term without a selector matches none."""
    there = pod.namespace in (term.get("namespaces") or [namespace])
    return (
        there
        and term.get("labelSelector") is not None
        and bool(selectors.from_spec(term["labelSelector"])(pod.labelled))
    )


def label(node: Object, key: str) -> str | None:
    found: str | None = (node["metadata"].get("labels") or {}).get(key)
    return found


@dataclass(frozen=True)
class Spread:
    """One of the pod's topologySpreadConstraints, with the number of matching pods at each value of its key."""

    key: str
    most: int  # the allowed difference
    itself: bool  # whether the constraint matches the pod itself
    counts: Counter[str]
    domains: int = 1  # with fewer domains the minimum is 0

    def fits(self, value: str) -> bool:
        least = min(self.counts.values(), default=0) if len(self.counts) >= self.domains else 0
        return self.counts[value] + self.itself - least <= self.most


class Neighbours:
    """The pod's view of the pods on all nodes."""

    def __init__(self, pod: Object, nodes: list[Object], used: Usage) -> None:
        self.pod, self.used = pod, used
        self.me = Placed.of(pod)
        self.nodes = nodes
        self._spreads = self.spreads(rules(pod["spec"], "DoNotSchedule"))
        near, apart = (terms(pod["spec"], kind, REQUIRED) for kind in ("podAffinity", "podAntiAffinity"))
        self._near = [(term, self._count(term["topologyKey"], near)) for term in near]
        self._apart = [(term, self._count(term["topologyKey"], [term])) for term in apart]
        self._refused = self._refusals()

    def misfits(self, node: Object) -> tuple[list[str], bool]:
        """Why the pod can't run on the node with the existing pods, and whether no eviction could change that."""
        for spread in self._spreads:
            value = label(node, spread.key)
            if value is None:
                return ["node(s) didn't match pod topology spread constraints (missing required label)"], True
            if not spread.fits(value):
                return ["node(s) didn't match pod topology spread constraints"], False
        if not self._is_near(node):
            return ["node(s) didn't match pod affinity rules"], True
        if any(counts[label(node, term["topologyKey"])] for term, counts in self._apart):
            return ["node(s) didn't match pod anti-affinity rules"], False
        if any(label(node, key) == value for key, value in self._refused):
            return ["node(s) didn't satisfy existing pods anti-affinity rules"], False
        return [], False

    def spreads(self, rules: list[Object]) -> list[Spread]:
        """The state of each constraint; nodes that lack the label of one constraint are ignored by all."""
        nodes = [n for n in self.nodes if all(label(n, rule["topologyKey"]) is not None for rule in rules)]
        return [self._spread(rule, nodes) for rule in rules]

    def _spread(self, rule: Object, nodes: list[Object]) -> Spread:
        matches, spec = selectors.from_spec(_selector(rule, self.pod)), self.pod["spec"]
        if rule.get("nodeAffinityPolicy") != "Ignore":
            nodes = [n for n in nodes if wanted(spec, n)]
        if rule.get("nodeTaintsPolicy") == "Honor":
            nodes = [n for n in nodes if not untolerated(spec, n)]
        counts: Counter[str] = Counter()
        for node in nodes:
            counts[label(node, rule["topologyKey"]) or ""] += sum(
                not p.deleting and p.namespace == self.me.namespace and matches(p.labelled)
                for p in self.used.placed(node["metadata"]["name"])
            )
        return Spread(
            rule["topologyKey"], rule["maxSkew"], matches(self.me.labelled), counts, rule.get("minDomains") or 1
        )

    def _is_near(self, node: Object) -> bool:
        values = [(counts, label(node, term["topologyKey"])) for term, counts in self._near]
        if any(value is None for _, value in values):
            return False
        if all(counts[value] for counts, value in values):
            return True
        # The first of several pods with affinity to each other: it would wait for itself.
        alone = not any(counts.total() for counts, _ in values)
        return alone and all(covers(term, self.me.namespace, self.me) for term, _ in self._near)

    def _count(self, key: str, meant: list[Object]) -> Counter[str | None]:
        """The number of pods that match all of the terms, at each value of the key."""
        counts: Counter[str | None] = Counter()
        for node in self.nodes:
            value = label(node, key)
            if value is not None:
                pods = self.used.placed(node["metadata"]["name"])
                counts[value] += sum(all(covers(term, self.me.namespace, pod) for term in meant) for pod in pods)
        return counts

    def _refusals(self) -> set[tuple[str, str]]:
        """(label, value) of the nodes that have a pod with anti-affinity to this one."""
        found = set()
        for node in self.nodes:
            for pod in self.used.placed(node["metadata"]["name"]):
                for term in terms({"affinity": pod.affinity}, "podAntiAffinity", REQUIRED) if pod.affinity else ():
                    value = label(node, term["topologyKey"])
                    if value is not None and covers(term, pod.namespace, self.me):
                        found.add((term["topologyKey"], value))
        return found

    def liking(self, node: Object) -> int:
        """The sum of the weights of the preferred terms, of the pod and of existing pods, if the pod ran on the
        node."""
        total, spec = 0, self.pod["spec"]
        for other in self.nodes:
            for pod in self.used.placed(other["metadata"]["name"]):
                if not (pod.affinity or self.me.affinity):
                    continue
                theirs = {"affinity": pod.affinity}
                pairs = [*_weighted(spec, self.me, pod), *_weighted(theirs, pod, self.me)]
                pairs += [
                    (1, term) for term in terms(theirs, "podAffinity", REQUIRED) if covers(term, pod.namespace, self.me)
                ]
                for weight, term in pairs:
                    value = label(node, term["topologyKey"])
                    total += weight if value is not None and value == label(other, term["topologyKey"]) else 0
        return total


def _weighted(spec: Object, whose: Placed, other: Placed) -> list[tuple[int, Object]]:
    """The preferred terms of `spec` that match the other pod, with their weights: negative for anti-affinity."""
    return [
        (sign * entry["weight"], entry["podAffinityTerm"])
        for sign, kind in ((1, "podAffinity"), (-1, "podAntiAffinity"))
        for entry in terms(spec, kind, PREFERRED)
        if covers(entry["podAffinityTerm"], whose.namespace, other)
    ]


def rules(spec: Object, what: str) -> list[Object]:
    """The topologySpreadConstraints that are hard (DoNotSchedule) or soft (ScheduleAnyway)."""
    return [rule for rule in spec.get("topologySpreadConstraints") or () if rule["whenUnsatisfiable"] == what]


def _selector(rule: Object, pod: Object) -> dict[str, Any]:
    """The pods that the constraint matches: none without a selector."""
    if rule.get("labelSelector") is None:
        return {"matchExpressions": [{"key": "", "operator": "Exists"}]}
    labels = pod["metadata"].get("labels") or {}
    same = {key: labels[key] for key in rule.get("matchLabelKeys") or () if key in labels}
    return rule["labelSelector"] | {"matchLabels": (rule["labelSelector"].get("matchLabels") or {}) | same}
