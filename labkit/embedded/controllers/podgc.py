"""Pod garbage collection: the pods that no kubelet will ever confirm to be gone.

A pod that is being deleted on a node which is not ready and carries the taint node.kubernetes.io/out-of-service (somebody
vouches that the machine is off) goes at the next look, and so does one whose node is no more, after a quarantine in which
the node may come back. Kubernetes looks every 20 seconds; here it is a second or two after the pod was deleted. Not at once,
on purpose: until then others see a pod that is Running and being deleted, which to the training operator is a failure.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from labkit.embedded.controllers import conditions
from labkit.embedded.controllers.loop import Controller
from labkit.embedded.controllers.owners import deleting
from labkit.embedded.controllers.pods import deleted_at, finished, is_true
from labkit.embedded.resources import NODES, PODS
from labkit.embedded.status import ApiError
from labkit.embedded.store import Event, Key, Object, Store

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
PERIOD, QUARANTINE = 2.0, 40.0  # seconds; what they count from is written in whole ones


def controller() -> Controller:
    missing: dict[str, float] = {}  # node -> since when it is known to be missing

    def reconcile(pod: Object, store: Store) -> float | None:
        name = pod["spec"].get("nodeName")
        if not name:
            return None
        node = store.find(NODES, "", name)
        if node is not None:
            missing.pop(name, None)
            if not deleting(pod) or is_true(node, "Ready") or not _out_of_service(node):
                return None
            left = deleted_at(pod) + PERIOD - time.time()
            if left <= 0:
                _delete(pod, store, orphaned=False)
            return left if left > 0 else None
        left = missing.setdefault(name, time.monotonic()) + QUARANTINE - time.monotonic()
        if left <= 0:
            _delete(pod, store, orphaned=True)
        return left if left > 0 else None

    return Controller("pod garbage collector", PODS, reconcile, finds={NODES: _on_node})


def _out_of_service(node: Object) -> bool:
    return any(taint["key"] == OUT_OF_SERVICE for taint in node["spec"].get("taints") or ())


def _delete(pod: Object, store: Store, orphaned: bool) -> None:
    def fail(fresh: Object) -> None:
        status = fresh.setdefault("status", {})
        if orphaned:
            conditions.put(status, "DisruptionTarget", True, "DeletionByPodGC", "PodGC: node no longer exists")
        if not finished(fresh):
            status["phase"] = "Failed"

    meta = pod["metadata"]
    store.modify(PODS, meta["namespace"], meta["name"], fail)
    try:
        store.delete(PODS, meta["namespace"], meta["name"], grace=0, uid=meta["uid"])
    except ApiError as error:
        if error.code != 404:
            raise


def _on_node(event: Event, store: Store) -> Iterable[Key]:
    """The pods of a node that is gone or out of service."""
    if event.type != "DELETED" and not _out_of_service(event.object):
        return []
    name = event.object["metadata"]["name"]
    found = store.list(PODS, None, lambda p: p["spec"].get("nodeName") == name)
    return [(p["metadata"]["namespace"], p["metadata"]["name"]) for p in found]
