"""Pod garbage collection: the pods that no kubelet will ever confirm to be gone.

A pod that is being deleted on a node which is not ready and carries the taint node.kubernetes.io/out-of-service (somebody
vouches that the machine is off) goes at once, and so does one whose node is no more, after a quarantine in which the node
may come back.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from labkit.embedded.controllers import conditions
from labkit.embedded.controllers.loop import Controller
from labkit.embedded.controllers.owners import deleting
from labkit.embedded.controllers.pods import finished, is_true
from labkit.embedded.resources import NODES, PODS
from labkit.embedded.status import ApiError
from labkit.embedded.store import Event, Key, Object, Store

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
QUARANTINE = 40.0  # seconds


def controller() -> Controller:
    missing: dict[str, float] = {}  # node -> since when it is known to be missing

    def reconcile(pod: Object, store: Store) -> float | None:
        name = pod["spec"].get("nodeName")
        if not name:
            return None
        node = store.find(NODES, "", name)
        if node is not None:
            missing.pop(name, None)
            if deleting(pod) and not is_true(node, "Ready") and _out_of_service(node):
                _delete(pod, store, orphaned=False)
            return None
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
