"""The kubelet of all nodes: what they share, and which of them have power.

Each node is a `Host`, which keeps its own pods. The nodes share the runtime with its warm parents, one client of the API, the
recorder of events, the Service proxy, and the folder of all pods.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import psutil

from kubeproc import credentials, machines
from kubeproc.folder import ClusterFolder
from kubeproc.kubelet import limit_watch
from kubeproc.kubelet.account_tokens import AccountTokens
from kubeproc.kubelet.api_client import Api, Refused, Unreachable
from kubeproc.kubelet.background import keep_running
from kubeproc.kubelet.executor import Executor
from kubeproc.kubelet.host import Host
from kubeproc.kubelet.network_doors import Doors
from kubeproc.kubelet.pod_events import Recorder
from kubeproc.kubelet.pod_worker import Pod
from kubeproc.kubelet.service_proxy import Proxy
from kubeproc.kubelet.shared import Shared
from kubeproc.kubelet.volume_updates import VolumeUpdates
from kubeproc.network import mode, ranges
from kubeproc.network.client import Network
from kubeproc.runtime.runtime import Runtime

Object = dict[str, Any]
log = logging.getLogger("kubelet")
DOWN = 1.0  # seconds of grace when the node goes down
SWITCHES = 1.0  # seconds between two looks at the machines' switches


class Kubelet:
    def __init__(self, home: ClusterFolder, port: int, executor: Executor) -> None:
        self.home = home
        self.network = Network(home.log / "network.log", outside=mode.outside(home)) if mode.own(home) else None
        self.runtime = Runtime(home.root, users=lambda: self.network.users if self.network else None)
        self.api = Api(port, str(home.ca), credentials.token(home, credentials.KUBELET))
        self.proxy = Proxy(self.api, self.network, port)
        self.doors = Doors(self.network, self.proxy, home, self.connect) if self.network else None
        self.pods: dict[str, Pod] = {}  # by uid, those of all nodes that have not ended
        self.updates = VolumeUpdates(self.api, self.pods)
        self.shared = Shared(
            home,
            self.api,
            self.runtime,
            executor,
            Recorder(self.api),
            AccountTokens(self.api),
            self.updates,
            _service(port, self.network is not None),
            self.network,
        )
        self.hosts = [Host(self.shared, machine, self.pods, self.remove_strays) for machine in machines.of(home)]
        self._tasks: list[asyncio.Task[None]] = []
        self._switching = asyncio.Lock()

    # -- start and stop ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Register the nodes, then keep their pods. The server must answer."""
        if self.doors:
            await self.doors.start()
        await self.switch()
        for work in (
            self.shared.events.run,
            self.proxy.run,
            lambda: limit_watch.watch(self.pods, self.runtime.portable),
            self.updates.refresh_tokens,
            self._watch_switches,
        ):
            self._tasks.append(asyncio.create_task(keep_running(work)))

    async def switch(self) -> None:
        """Turn each node on or off, as the switches of the machines say."""
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
        """Look at the switches. A client that sets one also asks for a look (`/power`), unless it is killed in between."""
        while True:
            await asyncio.sleep(SWITCHES)
            with contextlib.suppress(*Unreachable):
                await self.switch()

    async def stop(self) -> None:
        """End all pods quickly. Writes no status, so the API keeps the last one, as at a reboot."""
        for task in self._tasks:
            task.cancel()
        self.updates.stop()
        await asyncio.gather(*(host.off(DOWN) for host in self.hosts))
        if self.doors:
            self.doors.stop()
        await self.proxy.stop()
        await self.runtime.stop()
        if self.network:
            self.network.stop()
        self.api.close()

    async def connect(self, uid: str, port: int) -> socket.socket:
        """A connection to a port of a pod that has a network of its own."""
        pod = self.pods.get(uid)
        if pod is None or pod.sandbox is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "the pod is not running")
        return await pod.sandbox.connect(port)

    def remove_strays(self) -> None:
        """Remove the folders of pods that no longer exist, once each node has reported its pods."""
        if all(host.known is not None for host in self.hosts):
            known = set[str]().union(*(host.known or () for host in self.hosts), self.pods)
            # The folders are listed now: a new pod may create its own while a thread still deletes.
            strays = [folder for folder in self.home.pods.iterdir() if folder.name not in known]
            self.shared.background.run(asyncio.to_thread(_remove, strays))


def _service(port: int, own_network: bool) -> Object:
    """The Service `kubernetes`: at its address in the pods' network, or at the port of this server."""
    if own_network:
        spec = {"clusterIP": ranges.API, "ports": [{"name": "https", "port": 443}]}
        return {"metadata": {"name": "kubernetes"}, "spec": spec}
    return {
        "metadata": {"name": "kubernetes", "annotations": {"labkit.dev/ports": json.dumps({"443": port})}},
        "spec": {"clusterIP": "127.0.0.1", "ports": [{"name": "https", "port": 443}]},
    }


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def end_leftovers(pods: Path) -> int:
    """Kill the programs that an earlier kubelet left running. Returns their number."""
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
