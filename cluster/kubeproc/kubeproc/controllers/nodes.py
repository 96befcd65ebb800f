"""Nodes: their health, and the pods of failed nodes.

The kubelet of all nodes holds an exclusive flock on `run/kubelet.lock` while it lives; a free lock means that the
kubelet and all pods are dead. The nodes become NotReady with the taints of node.kubernetes.io/unreachable, and their
pods become Failed with the reason NodeLost (pods that were being deleted are removed).

A machine that is switched off (`machines`) is an unreachable node: it gets the same taints, and its pods are no longer
Ready. Their state is unknown, so they remain until their tolerations expire (300 s by default). Then they are deleted,
which no kubelet confirms: see `podgc`. A node that comes back reports Ready itself, and the taints are removed. For any
NoExecute taint, tolerationSeconds count from the time when the controller sees taint and pod together, as in
Kubernetes.
"""

from __future__ import annotations

import fcntl
import math
import time
from pathlib import Path

from kubeproc import machines, timestamps
from kubeproc.api_errors import ApiError
from kubeproc.controllers import conditions, events
from kubeproc.controllers.loop import Controller, soonest
from kubeproc.controllers.owners import deleting
from kubeproc.controllers.pod_making import active, finished, is_true
from kubeproc.demands import tolerated
from kubeproc.folder import ClusterFolder
from kubeproc.resources import NODES, PODS
from kubeproc.store import Object, Store

INTERVAL = 1.0
COMPONENT = "node-controller"
UNREACHABLE, NOT_READY = "node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"
SILENT = "Kubelet stopped posting node status."
LOST = "The kubelet has died and its pods with it"
Waiting = dict[str, dict[str, float]]  # node -> pods that tolerate its taints temporarily (uid), and since when


def alive(lock: Path) -> bool:
    """Whether a process holds the lock file."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def controller(folder: ClusterFolder | None) -> Controller:
    """The controller of the nodes in `folder`; None: the nodes' reported status is trusted."""
    waiting: Waiting = {}

    def reconcile(node: Object, store: Store) -> float | None:
        name = node["metadata"]["name"]
        if folder is None:
            return _evict(store.modify(NODES, "", name, _mark) or node, store, waiting)
        wait = None
        if machines.is_off(folder, name):
            wait = _evict(_gone_silent(node, store), store, waiting)
            _unready_pods(name, store)
        elif not alive(folder.run / "kubelet.lock"):
            _gone_silent(node, store)
            _lose_pods(name, store)
        else:
            wait = _evict(store.modify(NODES, "", name, _mark) or node, store, waiting)
        return soonest(INTERVAL, wait)

    return Controller("nodes", NODES, reconcile)


def _gone_silent(node: Object, store: Store) -> Object:
    if is_true(node, "Ready"):
        message = f"Node {node['metadata']['name']} status is now: NodeNotReady"
        events.record(store, node, events.NORMAL, "NodeNotReady", message, component=COMPONENT)
    return store.modify(NODES, "", node["metadata"]["name"], _silent) or node


def _silent(node: Object) -> None:
    status = node.setdefault("status", {})
    heard = {c["type"]: c["lastHeartbeatTime"] for c in status.get("conditions") or () if "lastHeartbeatTime" in c}
    for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready"):
        conditions.put(status, kind, "Unknown", "NodeStatusUnknown", SILENT)
    for condition in status["conditions"]:
        if condition["type"] in heard:
            condition["lastHeartbeatTime"] = heard[condition["type"]]
    _taint(node, [UNREACHABLE], ("NoSchedule", "NoExecute"))


def _mark(node: Object) -> None:
    """Set the taints that follow from the node's Ready condition."""
    found = next((c for c in (node.get("status") or {}).get("conditions") or () if c["type"] == "Ready"), None)
    state = (found or {}).get("status", "Unknown")
    keys = {"True": [], "False": [NOT_READY]}.get(state, [UNREACHABLE])
    _taint(node, keys, ("NoSchedule", "NoExecute"))


def _taint(node: Object, keys: list[str], effects: tuple[str, ...]) -> None:
    spec = node.setdefault("spec", {})
    had = {(t["key"], t["effect"]): t for t in spec.get("taints") or ()}
    taints = [t for t in had.values() if t["key"] not in (UNREACHABLE, NOT_READY)]
    for key in keys:
        for effect in effects:
            taints.append(had.get((key, effect)) or {"key": key, "effect": effect, "timeAdded": timestamps.now()})
    if taints:
        spec["taints"] = taints
    else:
        spec.pop("taints", None)


def _evict(node: Object, store: Store, waiting: Waiting) -> float | None:
    """Delete the pods that don't tolerate the node's NoExecute taints, or no longer do; returns the seconds until the
    next one."""
    name = node["metadata"]["name"]
    before, moment = waiting.pop(name, {}), time.monotonic()
    taints = [t for t in (node.get("spec") or {}).get("taints") or () if t.get("effect") == "NoExecute"]
    if not taints:
        return None
    since, waits = waiting.setdefault(name, {}), list[float]()
    for pod in store.list(PODS, None, lambda p: p["spec"].get("nodeName") == name and active(dict(p))):
        meta = pod["metadata"]
        began = before.get(meta["uid"], moment)
        left = began + _patience(pod["spec"], taints) - moment
        if left <= 0:
            message = f"Marking for deletion Pod {meta['namespace']}/{meta['name']}"
            events.record(
                store, pod, events.NORMAL, "TaintManagerEviction", message, component="taint-eviction-controller"
            )
            store.modify(PODS, meta["namespace"], meta["name"], _disrupted)
            store.delete(PODS, meta["namespace"], meta["name"], uid=meta["uid"])
        elif left < math.inf:
            since[meta["uid"]] = began
            waits.append(left)
    return soonest(*waits)


def _disrupted(pod: Object) -> None:
    message = "Taint manager: deleting due to NoExecute taint"
    conditions.put(pod.setdefault("status", {}), "DisruptionTarget", True, "DeletionByTaintManager", message)


def _patience(spec: Object, taints: list[Object]) -> float:
    """For how many seconds the pod tolerates all of the taints: 0 if it doesn't, infinity if forever. The first
    toleration that matches a taint counts."""
    shortest = math.inf
    for taint in taints:
        found = next((t for t in spec.get("tolerations") or () if tolerated({"tolerations": [t]}, taint)), None)
        if found is None:
            return 0.0
        if found.get("tolerationSeconds") is not None:
            shortest = min(shortest, found["tolerationSeconds"])
    return shortest


def _unready_pods(node: str, store: Store) -> None:
    """Mark the pods as not ready, so that Services no longer send them traffic."""
    for pod in store.list(PODS, None, lambda p: p["spec"].get("nodeName") == node and is_true(dict(p), "Ready")):
        meta = pod["metadata"]
        store.modify(PODS, meta["namespace"], meta["name"], _unready)
        events.record(store, pod, events.WARNING, "NodeNotReady", "Node is not ready", component=COMPONENT)


def _unready(pod: Object) -> None:
    conditions.put(pod["status"], "Ready", False, "", "")


def _lose_pods(node: str, store: Store) -> None:
    for pod in store.list(PODS, None, lambda p: p["spec"].get("nodeName") == node and not finished(dict(p))):
        meta = pod["metadata"]
        store.modify(PODS, meta["namespace"], meta["name"], _fail)
        events.record(store, pod, events.WARNING, "NodeNotReady", "Node is not ready", component=COMPONENT)
    for pod in store.list(PODS, None, lambda p: p["spec"].get("nodeName") == node and deleting(dict(p))):
        try:
            store.delete(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"], grace=0)
        except ApiError as error:
            if error.code != 404:
                raise


def _fail(pod: Object) -> None:
    status = pod.setdefault("status", {})
    status |= {"phase": "Failed", "reason": "NodeLost", "message": LOST}
    moment = timestamps.now()
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or ():
            container["ready"] = container["started"] = False
            if "terminated" not in (container.get("state") or {}):
                started = ((container.get("state") or {}).get("running") or {}).get("startedAt")
                ended = {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": LOST, "startedAt": started,
                         "finishedAt": moment, "containerID": container.get("containerID")}  # fmt: skip
                container["state"] = {"terminated": {k: v for k, v in ended.items() if v is not None}}
    for kind in ("Ready", "ContainersReady"):
        conditions.put(status, kind, False, "PodFailed", "")
