"""What the pods on each node have asked for, kept up to date by the store's events: the scheduler's view of nodes."""

from __future__ import annotations

from collections import Counter
from weakref import WeakKeyDictionary

from labkit.embedded import ports, quantity
from labkit.embedded.controllers.pods import finished
from labkit.embedded.resources import PODS
from labkit.embedded.store import Event, Object, Store

CPU, PODS_COUNT = "cpu", "pods"


def amount(name: str, value: str) -> int:
    """A quantity as an integer: CPU in thousandths, the rest in units."""
    return quantity.millis(value) if name == CPU else quantity.whole(value)


def requests(spec: Object) -> Counter[str]:
    """What a pod asks for: the sum over its containers, or its largest init container where that is more."""
    total: Counter[str] = Counter({PODS_COUNT: 1})
    for container in spec["containers"]:
        for name, value in ((container.get("resources") or {}).get("requests") or {}).items():
            total[name] += amount(name, value)
    for container in spec.get("initContainers") or ():
        for name, value in ((container.get("resources") or {}).get("requests") or {}).items():
            total[name] = max(total[name], amount(name, value))
    return total


class Usage:
    """Requests and host ports of the unfinished pods of each node."""

    def __init__(self, store: Store) -> None:
        self.asked: dict[str, Counter[str]] = {}
        self.ports: dict[str, Counter[int]] = {}
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

    def _count(self, pod: Object, sign: int) -> None:
        node = pod["spec"].get("nodeName")
        if not node or finished(pod):
            return
        asked, held = self.asked.setdefault(node, Counter()), self.ports.setdefault(node, Counter())
        for name, value in requests(pod["spec"]).items():
            asked[name] += sign * value
        for port in ports.held(PODS, pod):
            held[port] += sign


_known: WeakKeyDictionary[Store, Usage] = WeakKeyDictionary()


def of(store: Store) -> Usage:
    """The usage of the store's nodes."""
    if store not in _known:
        _known[store] = Usage(store)
    return _known[store]
