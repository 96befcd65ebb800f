"""One node of the cluster: runs the pods that the API binds to it, and reports their status.

Mechanism. A watch of the pods bound to this node starts, updates and ends one `Pod` for each. The node forgets a finished pod,
whose folder with its logs stays until the object is deleted. Without power (`off`) all programs of the node end at once and no
status is written, as when a machine fails; when power returns (`on`) the node finds its pods as after a reboot.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Callable
from typing import Any

from kubeproc.kubelet import node_object
from kubeproc.kubelet.api_client import Refused, Unreachable
from kubeproc.kubelet.background import keep_running
from kubeproc.kubelet.pod_worker import FINAL, Pod
from kubeproc.kubelet.shared import Shared
from kubeproc.machines import Machine

Object = dict[str, Any]
log = logging.getLogger("kubelet")
LATE = 1.0  # seconds that a pod may take to end after its grace period


class Host:
    """`all_pods` holds the pods of all nodes that have not ended, by uid; `synchronised` is called after each list of this
    node's pods."""

    def __init__(
        self, shared: Shared, machine: Machine, all_pods: dict[str, Pod], synchronised: Callable[[], None]
    ) -> None:
        self.shared, self.machine, self.name = shared, machine, machine.name
        self.all_pods, self.synchronised = all_pods, synchronised
        self.allocatable = node_object.capacity(shared.home.root, machine)
        self.known: set[str] | None = None  # uids of the pods whose folders are kept; None before the first list
        self._over: dict[
            str, int
        ] = {}  # resourceVersion with which a pod ended; older events arrive late and are ignored
        self._tasks: list[asyncio.Task[None]] = []

    async def on(self) -> None:
        """Register the node and run its pods; does nothing if the node is on."""
        if self._tasks:
            return
        shared = self.shared
        api, home, mechanisms = shared.api, shared.home.root, json.dumps(shared.runtime.mechanisms)
        before = await node_object.register(api, home, self.machine, mechanisms)
        if node_object.states(before).get("Ready") != "True":
            shared.events.record(before, "Normal", "NodeReady", f"Node {self.name} status is now: NodeReady")
        works = (self._watch_pods, lambda: node_object.heartbeat(api, home, self.machine, mechanisms))
        self._tasks = [asyncio.create_task(keep_running(work)) for work in works]

    async def off(self, grace: float = 0) -> None:
        """End all pods within `grace` seconds. Writes no status, so the API keeps the last one."""
        for task in self._tasks:
            task.cancel()
        self._tasks, self.known = [], None
        pods = self.pods()
        for pod in pods:
            pod.hurry()
            pod.stop(grace)
        if tasks := [pod.task for pod in pods if pod.task]:
            _, late = await asyncio.wait(tasks, timeout=grace + LATE)
            for task in late:
                log.warning("did not end in time: %s", task.get_stack())

    def pods(self) -> list[Pod]:
        return [pod for pod in self.all_pods.values() if pod.node == self.name]

    async def _watch_pods(self) -> None:
        async for change in self.shared.api.watch("/api/v1/pods", fieldSelector=f"spec.nodeName={self.name}"):
            if change.type == "SYNC":
                self._synchronise(change.objects)
            elif change.type == "DELETED":
                self._gone(change.object["metadata"]["uid"])
            else:
                self._see(change.object)

    def _synchronise(self, objects: list[Object]) -> None:
        there = {obj["metadata"]["uid"] for obj in objects}
        for uid in ({pod.uid for pod in self.pods()} | set(self._over)) - there:
            self._gone(uid)
        self.known = there
        for obj in objects:
            pod = self.all_pods.get(obj["metadata"]["uid"])
            self._see(obj)
            if pod:
                pod.writer.server_is_back(obj.get("status"))
        self.synchronised()

    def _see(self, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        if self.known is not None:
            self.known.add(uid)
        if pod := self.all_pods.get(uid):
            pod.update(obj)
        elif int(obj["metadata"]["resourceVersion"]) <= self._over.get(uid, 0):
            return
        elif (obj.get("status") or {}).get("phase") in FINAL:
            if obj["metadata"].get("deletionTimestamp"):
                self.shared.background.run(self._confirm_deletion(obj))
        else:
            pod = self.all_pods[uid] = Pod(self.shared, self.name, self.allocatable, obj, self.pods)
            pod.start()
            if obj["metadata"].get("deletionTimestamp"):
                pod.stop(0)
            assert pod.task
            pod.task.add_done_callback(lambda _: self._ended(pod))

    def _ended(self, pod: Pod) -> None:
        if self.all_pods.get(pod.uid) is pod:
            del self.all_pods[pod.uid]
        if not pod.hurried:
            self._over[pod.uid] = int(pod.object["metadata"].get("resourceVersion", 0))
        if pod.gone:
            self.shared.background.run(asyncio.to_thread(shutil.rmtree, pod.folder, True))
        elif pod.object["metadata"].get("deletionTimestamp") and not pod.hurried:
            self.shared.background.run(self._confirm_deletion(pod.object))
        elif (
            pod.hurried and self.known is not None
        ):  # the power returned, and the watch showed the pod, before it had ended
            self._see(pod.object)

    def _gone(self, uid: str) -> None:
        """The object has been deleted: end its pod and remove the folder."""
        self._over.pop(uid, None)
        if self.known is not None:
            self.known.discard(uid)
        if pod := self.all_pods.get(uid):
            pod.gone = True
            pod.hurry()
            pod.stop(0)
        else:
            self.shared.background.run(asyncio.to_thread(shutil.rmtree, self.shared.home.pods / uid, True))

    async def _confirm_deletion(self, obj: Object) -> None:
        """Delete the object, since none of its containers runs."""
        meta = obj["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
        while True:
            try:
                await self.shared.api.delete(path, options)
                return
            except Unreachable:
                await asyncio.sleep(0.5)
            except Refused as error:
                if error.code not in (404, 409):
                    log.warning("deletion of %s: %s", path, error)
                return
