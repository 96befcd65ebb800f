"""The resource requests of the pods on each node, kept up to date by the store's events: the scheduler's view of
nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from kubeproc import demands, ports
from kubeproc.controllers.pod_making import finished
from kubeproc.resources import PODS
from kubeproc.store import Event, Object, Store


@dataclass(frozen=True)
class Placed:
    """The properties of a scheduled pod that matter for scheduling others."""

    namespace: str
    labelled: Object  # an object with the pod's labels, for selectors
    affinity: Object
    deleting: bool

    @classmethod
    def of(cls, pod: Object) -> Placed:
        meta = pod["metadata"]
        labelled = {"metadata": {"labels": meta.get("labels") or {}}}
        return cls(meta["namespace"], labelled, pod["spec"].get("affinity") or {}, "deletionTimestamp" in meta)


class Usage:
    """Requests and host ports of the unfinished pods of each node, and those pods."""

    def __init__(self, store: Store) -> None:
        self.asked: dict[str, Counter[str]] = {}
        self.assumed: dict[str, Counter[str]] = {}
        self.ports: dict[str, Counter[int]] = {}
        self._placed: dict[str, dict[str, Placed]] = {}
        for pod in store.list(PODS):
            self._count(pod, 1)
        store.watch(self.hear)

    def hear(self, event: Event) -> None:
        if event.resource is not PODS:
            return
        if event.previous is not None:
            self._count(event.previous, -1)
        if event.type != "DELETED":
            self._count(event.object, 1)

    def placed(self, node: str) -> Collection[Placed]:
        """The node's unfinished pods."""
        return self._placed.get(node, {}).values()

    def _count(self, pod: Object, sign: int) -> None:
        node = pod["spec"].get("nodeName")
        if not node or finished(pod):
            return
        asked, held = self.asked.setdefault(node, Counter()), self.ports.setdefault(node, Counter())
        likely, pods = self.assumed.setdefault(node, Counter()), self._placed.setdefault(node, {})
        for name, value in demands.assumed(pod["spec"]).items():
            likely[name] += sign * value
        if sign > 0:
            pods[pod["metadata"]["uid"]] = Placed.of(pod)
        else:
            pods.pop(pod["metadata"]["uid"], None)
        for name, value in demands.requests(pod["spec"]).items():
            asked[name] += sign * value
        for port in ports.held(PODS, pod):
            held[port] += sign


_known: WeakKeyDictionary[Store, Usage] = WeakKeyDictionary()


def of(store: Store) -> Usage:
    """The usage of the store's nodes."""
    if store not in _known:
        _known[store] = Usage(store)
    return _known[store]
