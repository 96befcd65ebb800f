"""The kubelet: keeps this node's pods as the API says, and says in the API how they are.

Mechanism. A watch of the pods bound to this node starts, updates and ends one `Pod` for each. A finished pod is let go
of: its folder stays, with its logs, until the object is deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil

from labkit.embedded import credentials
from labkit.embedded.kubelet import limits, node, volumes
from labkit.embedded.kubelet.client import Api, Refused, Unreachable
from labkit.embedded.kubelet.events import Recorder
from labkit.embedded.kubelet.pod import FINAL, Pod
from labkit.embedded.runtime.runtime import Runtime
from labkit.embedded.services import Proxy
from labkit.paths import ClusterFolder

Object = dict[str, Any]
log = logging.getLogger("kubelet")
DOWN = 1.0  # seconds of grace when the node goes down
AGAIN = 1.0  # seconds until work that failed begins anew
TOKEN = 3600  # seconds that a token of the executor lives


class Kubelet:
    def __init__(self, home: ClusterFolder, port: int) -> None:
        self.home = home
        self.api = Api(port, str(home.ca), credentials.token(home, credentials.KUBELET))
        self.runtime = Runtime(home.root)
        self.events = Recorder(self.api, node.NAME)
        self.proxy = Proxy(self.api)
        self.pods: dict[str, Pod] = {}  # by uid; those that have not ended
        self._over: dict[
            str, int
        ] = {}  # the version at which a pod had ended: what is older comes late, and is no news
        self.allocatable = node.capacity(home.root)
        self.own_service: Object = {
            "metadata": {"name": "kubernetes", "annotations": {"labkit.dev/ports": json.dumps({"443": port})}},
            "spec": {"clusterIP": "127.0.0.1", "ports": [{"name": "https", "port": 443}]},
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._following: dict[str, asyncio.Task[None]] = {}
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}
        self._background: set[asyncio.Task[Any]] = set()

    # -- start and stop ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Register the node, then keep its pods. The server must answer."""
        self.home.pods.mkdir(parents=True, exist_ok=True)
        mechanisms = json.dumps(self.runtime.mechanisms)
        await node.register(self.api, self.home.root, mechanisms)
        for work in (
            self._watch_pods,
            self.events.run,
            self.proxy.run,
            lambda: node.heartbeat(self.api, self.home.root, mechanisms),
            lambda: limits.watch(self),
            self._refresh_tokens,
        ):
            self._tasks.append(asyncio.create_task(for_ever(work)))

    async def stop(self) -> None:
        """End all pods, quickly; nothing is written: what the API says of them stays, as at a reboot."""
        for task in [*self._tasks, *self._following.values()]:
            task.cancel()
        pods = list(self.pods.values())
        for pod in pods:
            pod.hurried = True
            pod.stop(DOWN)
        tasks = [pod.task for pod in pods if pod.task]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=DOWN + 1)
            for task in late:
                log.warning("did not end in time: %s", task.get_stack())
        await self.proxy.stop()
        await self.runtime.stop()
        self.api.close()

    def background(self, work: Any) -> None:
        """Let `work` run by itself; its failure is logged."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background_done)

    def _background_done(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception():
            log.error("in the background", exc_info=task.exception())

    # -- pods ----------------------------------------------------------------------------------------------------------

    async def _watch_pods(self) -> None:
        async for change in self.api.watch("/api/v1/pods", fieldSelector=f"spec.nodeName={node.NAME}"):
            if change.type == "SYNC":
                self._synchronise(change.objects)
            elif change.type == "DELETED":
                self._gone(change.object["metadata"]["uid"])
            else:
                self._see(change.object)

    def _synchronise(self, objects: list[Object]) -> None:
        there = {obj["metadata"]["uid"] for obj in objects}
        for uid in (set(self.pods) | set(self._over)) - there:
            self._gone(uid)
        for obj in objects:
            pod = self.pods.get(obj["metadata"]["uid"])
            self._see(obj)
            if pod:
                pod.server_is_back(obj)
        # Which folders are nobody's is seen now: the next pod may make its own while a thread still deletes.
        strays = [f for f in self.home.pods.iterdir() if f.name not in there and f.name not in self.pods]
        self.background(asyncio.to_thread(_remove, strays))

    def _see(self, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        if pod := self.pods.get(uid):
            pod.update(obj)
        elif int(obj["metadata"]["resourceVersion"]) <= self._over.get(uid, 0):
            return
        elif (obj.get("status") or {}).get("phase") in FINAL:
            if obj["metadata"].get("deletionTimestamp"):
                self.background(self._confirm_deletion(obj))
        else:
            pod = self.pods[uid] = Pod(self, obj)
            pod.start()
            if obj["metadata"].get("deletionTimestamp"):
                pod.stop(0)
            assert pod.task
            pod.task.add_done_callback(lambda _: self._ended(pod))

    def _ended(self, pod: Pod) -> None:
        if self.pods.get(pod.uid) is pod:
            del self.pods[pod.uid]
        if not pod.gone:
            self._over[pod.uid] = int(pod.object["metadata"].get("resourceVersion", 0))
        if pod.gone:
            self.background(asyncio.to_thread(shutil.rmtree, pod.folder, True))
        elif pod.object["metadata"].get("deletionTimestamp") and not pod.hurried:
            self.background(self._confirm_deletion(pod.object))

    def _gone(self, uid: str) -> None:
        """The object is no more."""
        self._over.pop(uid, None)
        if pod := self.pods.get(uid):
            pod.gone = pod.hurried = True
            pod.stop(0)
        else:
            self.background(asyncio.to_thread(shutil.rmtree, self.home.pods / uid, True))

    async def _confirm_deletion(self, obj: Object) -> None:
        """Nothing runs any more: the object may go."""
        meta = obj["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
        while True:
            try:
                await self.api.delete(path, options)
                return
            except Unreachable:
                await asyncio.sleep(0.5)
            except Refused as error:
                if error.code not in (404, 409):
                    log.warning("deletion of %s: %s", path, error)
                return

    # -- volumes that follow their sources -----------------------------------------------------------------------------

    def follow_volumes(self, pod: Pod) -> None:
        """From now on a change of a ConfigMap or Secret reaches the pod's volumes."""
        for kind in ("configMap", "secret"):
            if kind not in self._following and volumes.shows(pod.object, kind):
                self._following[kind] = asyncio.create_task(for_ever(functools.partial(self._follow, kind)))

    async def _follow(self, kind: str) -> None:
        async for change in self.api.watch(f"/api/v1/{kind.lower()}s"):
            if change.type in ("ADDED", "MODIFIED"):
                meta = change.object["metadata"]
                for pod in list(self.pods.values()):
                    same = pod.object["metadata"]["namespace"] == meta["namespace"]
                    if same and volumes.uses(pod.object, kind, meta["name"]):
                        await pod.rewrite_volumes()

    async def _refresh_tokens(self) -> None:
        while True:
            await asyncio.sleep(60)
            for pod in list(self.pods.values()):
                if any(volume.refresh_at < time.time() for volume in pod.volumes.values()):
                    await pod.rewrite_volumes()

    async def account_token(self, pod: Object) -> str:
        """A token of the pod's service account, one for all its pods."""
        namespace, account = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName") or "default"
        token, until = self._tokens.get((namespace, account), ("", 0.0))
        if until < time.time():
            request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}}
            path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
            answer = await self.api.create(path, request | {"spec": {"audiences": [], "expirationSeconds": TOKEN}})
            token, until = answer["status"]["token"], time.time() + TOKEN / 2
            self._tokens[namespace, account] = (token, until)
        return token


async def for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """Keep `work` going. All of it begins by looking at what there is, so that one that failed can begin anew."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s failed and begins anew", work)
        await asyncio.sleep(AGAIN)


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def end_leftovers(pods: Path) -> int:
    """Kill what an earlier kubelet left running; how many programs that were."""
    killed = 0
    for record in pods.glob("*/containers/*/process.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
            known = json.loads(record.read_text())
            process = psutil.Process(known["pid"])
            if abs(process.create_time() - known["created"]) < 1:
                with contextlib.suppress(OSError):
                    os.killpg(known["pid"], signal.SIGKILL)
                process.kill()
                killed += 1
        record.unlink(missing_ok=True)
    return killed
