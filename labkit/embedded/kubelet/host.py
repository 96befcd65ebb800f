"""One node of the cluster: keeps its pods as the API says, and says in the API how they are.

Mechanism. A watch of the pods bound to this node starts, updates and ends one `Pod` for each. A finished pod is let go
of: its folder stays, with its logs, until the object is deleted. Without power (`off`) everything of the node ends at
once and nothing is said of it, as when a machine fails; with power again (`on`) it finds its pods as after a reboot.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from labkit.embedded.kubelet import node
from labkit.embedded.kubelet.client import Refused, Unreachable
from labkit.embedded.kubelet.pod import FINAL, Pod
from labkit.embedded.machines import Machine

if TYPE_CHECKING:
    from labkit.embedded.kubelet.kubelet import Kubelet

Object = dict[str, Any]
log = logging.getLogger("kubelet")
AGAIN = 1.0  # seconds until work that failed begins anew
LATE = 1.0  # seconds that a pod may take to end beyond its grace


class Host:
    def __init__(self, kubelet: Kubelet, machine: Machine) -> None:
        self.kubelet, self.machine, self.name = kubelet, machine, machine.name
        self.allocatable = node.capacity(kubelet.home.root, machine)
        self.known: set[str] | None = (
            None  # uids of the pods whose folders are kept; None before the first list of them
        )
        self._over: dict[
            str, int
        ] = {}  # the version at which a pod had ended: what is older comes late, and is no news
        self._tasks: list[asyncio.Task[None]] = []

    async def on(self) -> None:
        """Register the node and keep its pods; nothing where it does that already."""
        if self._tasks:
            return
        api, home, mechanisms = self.kubelet.api, self.kubelet.home.root, json.dumps(self.kubelet.runtime.mechanisms)
        before = await node.register(api, home, self.machine, mechanisms)
        if node.states(before).get("Ready") != "True":
            self.kubelet.events.record(before, "Normal", "NodeReady", f"Node {self.name} status is now: NodeReady")
        works = (self._watch_pods, lambda: node.heartbeat(api, home, self.machine, mechanisms))
        self._tasks = [asyncio.create_task(for_ever(work)) for work in works]

    async def off(self, grace: float = 0) -> None:
        """End all pods within `grace` seconds; nothing is written: what the API says of them stays."""
        for task in self._tasks:
            task.cancel()
        self._tasks, self.known = [], None
        pods = self.pods()
        for pod in pods:
            pod.hurried = True
            pod.stop(grace)
        if tasks := [pod.task for pod in pods if pod.task]:
            _, late = await asyncio.wait(tasks, timeout=grace + LATE)
            for task in late:
                log.warning("did not end in time: %s", task.get_stack())

    def pods(self) -> list[Pod]:
        return [pod for pod in self.kubelet.pods.values() if pod.host is self]

    async def _watch_pods(self) -> None:
        async for change in self.kubelet.api.watch("/api/v1/pods", fieldSelector=f"spec.nodeName={self.name}"):
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
            pod = self.kubelet.pods.get(obj["metadata"]["uid"])
            self._see(obj)
            if pod:
                pod.server_is_back(obj)
        self.kubelet.remove_strays()

    def _see(self, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        if self.known is not None:
            self.known.add(uid)
        if pod := self.kubelet.pods.get(uid):
            pod.update(obj)
        elif int(obj["metadata"]["resourceVersion"]) <= self._over.get(uid, 0):
            return
        elif (obj.get("status") or {}).get("phase") in FINAL:
            if obj["metadata"].get("deletionTimestamp"):
                self.kubelet.background(self._confirm_deletion(obj))
        else:
            pod = self.kubelet.pods[uid] = Pod(self, obj)
            pod.start()
            if obj["metadata"].get("deletionTimestamp"):
                pod.stop(0)
            assert pod.task
            pod.task.add_done_callback(lambda _: self._ended(pod))

    def _ended(self, pod: Pod) -> None:
        if self.kubelet.pods.get(pod.uid) is pod:
            del self.kubelet.pods[pod.uid]
        if not pod.hurried:
            self._over[pod.uid] = int(pod.object["metadata"].get("resourceVersion", 0))
        if pod.gone:
            self.kubelet.background(asyncio.to_thread(shutil.rmtree, pod.folder, True))
        elif pod.object["metadata"].get("deletionTimestamp") and not pod.hurried:
            self.kubelet.background(self._confirm_deletion(pod.object))
        elif pod.hurried and self.known is not None:  # late: the power was back, and the pod seen, before it had ended
            self._see(pod.object)

    def _gone(self, uid: str) -> None:
        """The object is no more."""
        self._over.pop(uid, None)
        if self.known is not None:
            self.known.discard(uid)
        if pod := self.kubelet.pods.get(uid):
            pod.gone = pod.hurried = True
            pod.stop(0)
        else:
            self.kubelet.background(asyncio.to_thread(shutil.rmtree, self.kubelet.home.pods / uid, True))

    async def _confirm_deletion(self, obj: Object) -> None:
        """Nothing runs any more: the object may go."""
        meta = obj["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
        while True:
            try:
                await self.kubelet.api.delete(path, options)
                return
            except Unreachable:
                await asyncio.sleep(0.5)
            except Refused as error:
                if error.code not in (404, 409):
                    log.warning("deletion of %s: %s", path, error)
                return


async def for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """Keep `work` going. All of it begins by looking at what there is, so that one that failed can begin anew."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s failed and begins anew", work)
        await asyncio.sleep(AGAIN)
