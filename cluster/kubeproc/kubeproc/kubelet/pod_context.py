"""The part of a pod that its containers need: the object, its folder and volumes, and whether it is stopping."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from abc import ABC, abstractmethod
from typing import Any

from kubeproc.kubelet import env, volumes
from kubeproc.kubelet.api_client import Refused, Unreachable
from kubeproc.kubelet.backoff import BackOff
from kubeproc.kubelet.executor import Files
from kubeproc.kubelet.pod_status import ADDRESS
from kubeproc.kubelet.shared import Shared
from kubeproc.kubelet.status_writer import StatusWriter
from kubeproc.network.client import Sandbox, dial

Object = dict[str, Any]
RETRY = 0.5  # seconds between the first attempt and the second


class PodContext(ABC):
    """The base of `pod_worker.Pod`. `allocatable` is that of the node."""

    writer: StatusWriter

    def __init__(self, shared: Shared, node: str, allocatable: Object, obj: Object) -> None:
        self.shared, self.node, self.allocatable, self.object = shared, node, allocatable, obj
        self.uid: str = obj["metadata"]["uid"]
        self.folder = shared.home.pods.resolve() / self.uid
        self.has_init = bool(self.spec.get("initContainers"))
        self.volumes: dict[str, volumes.Volume] = {}
        self.sources = env.Sources()
        self.pulls: dict[str, BackOff] = {}  # by image
        self.stopping = asyncio.Event()
        self.hurried = False  # the node goes down: no hooks run and no status is written
        self.gone = False  # the object has been deleted
        self.mains_ended = False
        self.sandbox: Sandbox | None = None
        self.retry = RETRY
        self._grace: float | None = None

    @property
    def spec(self) -> Object:
        return self.object["spec"]  # type: ignore[no-any-return]

    @property
    def path(self) -> str:
        meta = self.object["metadata"]
        return f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"

    @property
    def address(self) -> str:
        """The pod's address; this machine's loopback where pods share its network."""
        return self.sandbox.ip if self.sandbox else ADDRESS

    @property
    def own_network(self) -> bool:
        return self.shared.network is not None and not self.spec.get("hostNetwork")

    async def connect(self, host: str, port: int) -> socket.socket:
        """A connection from the node to an address, such as the pod's. OSError as from `connect`."""
        if self.shared.network and host != ADDRESS:
            return await self.shared.network.connect(host, port)
        return await dial(host, port)

    @property
    def grace(self) -> float:
        """Seconds between TERM and KILL."""
        if self._grace is not None:
            return self._grace
        seconds = self.spec.get("terminationGracePeriodSeconds")
        return 30.0 if seconds is None else float(seconds)

    @property
    def translated(self) -> bool:
        """Whether paths are translated, since the kernel grants no namespaces."""
        return self.shared.runtime.isolation == "none"

    def event(self, type: str, reason: str, message: str, container: str = "", kind: str = "") -> None:
        if not self.hurried or self.gone:  # a machine without power records nothing
            self.shared.events.record(self.object, type, reason, message, container, kind)

    async def pause(self, seconds: float, unless: asyncio.Event | None = None) -> bool:
        """Wait, at most until the pod is stopped or `unless` is set. Returns whether the pod is stopping."""
        events = [asyncio.create_task(event.wait()) for event in (self.stopping, unless) if event]
        await asyncio.wait(events, timeout=seconds, return_when="FIRST_COMPLETED")
        for event in events:
            event.cancel()
        return self.stopping.is_set()

    async def token(self, refused: str = "") -> str:
        """A token of the pod's service account, for what the kubelet does in the account's name."""
        return await self.shared.tokens.of(self.object, refused)

    @abstractmethod
    def files(self) -> Files:
        """What the kubelet lends Argo's executor of this pod."""

    async def read_sources(self) -> env.Sources:
        """Read the objects from which environments are built."""
        api, root = self.shared.api, f"/api/v1/namespaces/{self.object['metadata']['namespace']}"
        configmaps, secrets = env.referenced(self.object)
        names = [("configmaps", name) for name in configmaps] + [("secrets", name) for name in secrets]
        services, found = await asyncio.gather(
            api.get(f"{root}/services"), asyncio.gather(*(api.find(f"{root}/{p}/{name}") for p, name in names))
        )
        objects: dict[tuple[str, str], Object | None] = dict(zip(names, found, strict=True))
        return env.Sources(
            configmaps={name: objects["configmaps", name] for name in configmaps},
            secrets={name: objects["secrets", name] for name in secrets},
            services=[*services["items"], self.shared.own_service],
            allocatable=self.allocatable,
        )

    async def refresh(self) -> env.Sources:
        """Read the environment's objects again, after one was missing."""
        with contextlib.suppress(*Unreachable, Refused):
            self.sources = await self.read_sources()
        return self.sources

    def changed(self, urgent: bool = False) -> None:
        """Have the changed status written."""
        self.writer.changed(urgent)
