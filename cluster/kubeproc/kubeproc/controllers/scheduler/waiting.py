"""The unscheduled pods, in groups with the same requirements, kept up to date by the store's events.

While the first pod of a group fits nowhere, no other pod of the group fits either. So when resources are freed only the
first pod of each group is tried, and the next one once it has a node: a thousand waiting pods cost no more than one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from kubeproc.controllers.owners import deleting
from kubeproc.controllers.pod_making import finished
from kubeproc.controllers.scheduler import topology
from kubeproc.resources import PODS
from kubeproc.store import Event, Key, Object, Store

ASKED = ("affinity", "nodeSelector", "schedulerName", "schedulingGates", "tolerations", "topologySpreadConstraints")


def group_of(pod: Object) -> str:
    """A string of everything that decides on which nodes the pod fits."""
    meta, spec = pod["metadata"], pod["spec"]
    containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
    of_containers = [(c.get("resources"), c.get("ports"), c.get("restartPolicy")) for c in containers]
    asked = [spec.get(field) for field in ASKED]
    claims = [v["persistentVolumeClaim"] for v in spec.get("volumes") or () if v.get("persistentVolumeClaim")]
    return json.dumps([meta.get("namespace"), meta.get("labels"), asked, claims, of_containers], sort_keys=True)


def _first(group: dict[Key, bool], but: Key | None) -> Key | None:
    return next((key for key in group if key != but), None)


class Waiting:
    def __init__(self, store: Store) -> None:
        self._groups: dict[str, dict[Key, bool]] = {}  # for each pod, whether it has pod affinity
        self._group_of: dict[Key, str] = {}
        for pod in sorted(store.peek(PODS), key=lambda p: int(p["metadata"]["resourceVersion"])):
            self._take(pod)
        store.watch(self.hear)

    def hear(self, event: Event) -> None:
        if event.resource is not PODS:
            return
        if event.type == "DELETED":
            self._drop(event.key)
        else:
            self._take(event.object)

    def firsts(self, *, company: bool = False, but: Key | None = None) -> Iterator[Key]:
        """The first pod of each group, or only of those with pod affinity; `but` no longer waits."""
        for group in list(self._groups.values()):
            key = _first(group, but)
            if key is not None and (not company or group[key]):
                yield key

    def next(self, pod: Object) -> Iterator[Key]:
        """The first waiting pod of the same group as this one, which has a node now."""
        own = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        key = _first(self._groups.get(group_of(pod), {}), own)
        if key is not None:
            yield key

    def _take(self, pod: Object) -> None:
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        if pod["spec"].get("nodeName") or finished(pod) or deleting(pod):  # of these no turn would ever pass on
            self._drop(key)
            return
        group = group_of(pod)
        if self._group_of.get(key) != group:
            self._drop(key)
            self._group_of[key] = group
            self._groups.setdefault(group, {})[key] = topology.wants_company(pod)

    def _drop(self, key: Key) -> None:
        group = self._group_of.pop(key, None)
        if group is not None:
            del self._groups[group][key]
            if not self._groups[group]:
                del self._groups[group]


_known: WeakKeyDictionary[Store, Waiting] = WeakKeyDictionary()


def of(store: Store) -> Waiting:
    """The unscheduled pods of the store."""
    if store not in _known:
        _known[store] = Waiting(store)
    return _known[store]
