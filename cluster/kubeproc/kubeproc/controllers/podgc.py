"""Pod garbage collection: pods whose deletion no kubelet will confirm.

A pod that is being deleted on a node which is not ready and carries the taint node.kubernetes.io/out-of-service (an
administrator confirms that the machine is off) is removed at the next check. A pod whose node no longer exists is
removed after a quarantine in which the node may come back. Kubernetes checks every 20 seconds; this controller checks a
second or two after the deletion. The delay is intended: until then other controllers see a pod that is Running and
being deleted, which the training operator counts as a failure.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from kubeproc.api_errors import ApiError
from kubeproc.controllers import conditions
from kubeproc.controllers.loop import Controller
from kubeproc.controllers.owners import deleting
from kubeproc.controllers.pod_making import deleted_at, finished, is_true
from kubeproc.resources import NODES, PODS
from kubeproc.store import Event, Key, Object, Store

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
PERIOD, QUARANTINE = 2.0, 40.0  # seconds; timestamps have whole seconds


def controller() -> Controller:
    missing: dict[str, float] = {}  # node -> the time since when it is missing

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
    """The pods of a node that is deleted or out of service."""
    if event.type != "DELETED" and not _out_of_service(event.object):
        return []
    name = event.object["metadata"]["name"]
    found = store.list(PODS, None, lambda p: p["spec"].get("nodeName") == name)
    return [(p["metadata"]["namespace"], p["metadata"]["name"]) for p in found]
