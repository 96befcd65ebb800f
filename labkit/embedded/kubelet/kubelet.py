"""The kubelet of all nodes: what they share, and which of them have power.

Each node is a `Host`, which keeps its own pods; they share the runtime with its warm parents, one client of the API, the
events' recorder, the Services' proxy, and the folders of the pods.
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
from pathlib import Path
from typing import Any

import psutil

from labkit.embedded import credentials, machines
from labkit.embedded.kubelet import limits, volumes
from labkit.embedded.kubelet.client import Api, Refused, Unreachable
from labkit.embedded.kubelet.events import Recorder
from labkit.embedded.kubelet.host import Host, for_ever
from labkit.embedded.kubelet.pod import Pod
from labkit.embedded.runtime.runtime import Runtime
from labkit.embedded.services import Proxy
from labkit.paths import ClusterFolder

Object = dict[str, Any]
log = logging.getLogger("kubelet")
DOWN = 1.0  # seconds of grace when the node goes down
SWITCHES = 1.0  # seconds between two looks at the machines' switches
TOKEN = 3600  # seconds that a token of the executor lives


class Kubelet:
    def __init__(self, home: ClusterFolder, port: int) -> None:
        self.home = home
        self.api = Api(port, str(home.ca), credentials.token(home, credentials.KUBELET))
        self.runtime = Runtime(home.root)
        self.events = Recorder(self.api)
        self.proxy = Proxy(self.api)
        self.pods: dict[str, Pod] = {}  # by uid; those that have not ended, on whichever node
        self.hosts = [Host(self, machine) for machine in machines.of(home)]
        self.own_service: Object = {
            "metadata": {"name": "kubernetes", "annotations": {"labkit.dev/ports": json.dumps({"443": port})}},
            "spec": {"clusterIP": "127.0.0.1", "ports": [{"name": "https", "port": 443}]},
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._following: dict[str, asyncio.Task[None]] = {}
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._switching = asyncio.Lock()

    # -- start and stop ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Register the nodes, then keep their pods. The server must answer."""
        await self.switch()
        for work in (
            self.events.run,
            self.proxy.run,
            lambda: limits.watch(self),
            self._refresh_tokens,
            self._watch_switches,
        ):
            self._tasks.append(asyncio.create_task(for_ever(work)))

    async def switch(self) -> None:
        """Give every node power, or take it, as the switches of the machines are."""
        async with self._switching:
            dark = {host.name for host in self.hosts if machines.is_off(self.home, host.name)}
            await asyncio.gather(*(host.off() for host in self.hosts if host.name in dark))
            refused: Refused | None = None
            for host in self.hosts:  # last, since the server may be away
                if host.name not in dark:
                    try:
                        await host.on()
                    except Refused as error:  # the others' power does not depend on this one's
                        refused = error
            if refused:
                raise refused

    async def _watch_switches(self) -> None:
        """Whoever sets a switch says so (`/power`), unless it was killed in between."""
        while True:
            await asyncio.sleep(SWITCHES)
            with contextlib.suppress(*Unreachable):
                await self.switch()

    async def stop(self) -> None:
        """End all pods, quickly; nothing is written: what the API says of them stays, as at a reboot."""
        for task in [*self._tasks, *self._following.values()]:
            task.cancel()
        await asyncio.gather(*(host.off(DOWN) for host in self.hosts))
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

    def remove_strays(self) -> None:
        """Remove the folders of pods that are no more, once every node has said which are its own."""
        if all(host.known is not None for host in self.hosts):
            known = set[str]().union(*(host.known or () for host in self.hosts), self.pods)
            # Which folders are nobody's is seen now: the next pod may make its own while a thread still deletes.
            strays = [folder for folder in self.home.pods.iterdir() if folder.name not in known]
            self.background(asyncio.to_thread(_remove, strays))

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

    async def account_token(self, pod: Object, refused: str = "") -> str:
        """A token of the pod's service account, one for all its pods; another one than `refused`, that the server no
        longer takes: an account that is made anew has other tokens."""
        namespace, account = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName") or "default"
        token, until = self._tokens.get((namespace, account), ("", 0.0))
        if until < time.time() or token == refused:
            request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}}
            path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
            answer = await self.api.create(path, request | {"spec": {"audiences": [], "expirationSeconds": TOKEN}})
            token, until = answer["status"]["token"], time.time() + TOKEN / 2
            self._tokens[namespace, account] = (token, until)
        return token


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
