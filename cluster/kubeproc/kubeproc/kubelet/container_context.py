"""The part of a container that its probes and its image need: spec, state, process, events."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from kubeproc.kubelet.backoff import BackOff
from kubeproc.kubelet.inline import Inline
from kubeproc.kubelet.pod_context import PodContext
from kubeproc.kubelet.pod_status import ContainerState
from kubeproc.runtime.launch import Process

Object = dict[str, Any]


class ContainerContext:
    """The base of `container.Container`. `kind` is "main", "init" or "sidecar"."""

    def __init__(self, pod: PodContext, spec: Object, kind: str) -> None:
        self.pod, self.spec, self.kind = pod, spec, kind
        self.name: str = spec["name"]
        self.folder = pod.folder / "containers" / self.name
        self.root = self.folder / "root"
        waiting = {"reason": "PodInitializing" if pod.has_init else "ContainerCreating"}
        self.state = ContainerState(self.name, spec["image"], kind, state={"waiting": waiting})
        self.process: Process | Inline | None = None
        self.up = asyncio.Event()  # has started at least once: the next init container waits for this of a sidecar
        self.back_off = BackOff()
        self.redefined = asyncio.Event()  # the running program, or the current wait, belongs to an older definition

    @property
    def policy(self) -> str:
        if self.kind == "sidecar":
            return "Always"
        policy = self.pod.spec.get("restartPolicy", "Always")
        return "OnFailure" if self.kind == "init" and policy == "Always" else policy

    @property
    def log_path(self) -> Path:
        return self.folder / f"{self.state.restarts}.log"

    def event(self, type: str, reason: str, message: str) -> None:
        kind = "containers" if self.kind == "main" else "initContainers"
        self.pod.event(type, reason, message, self.name, kind)

    async def pause(self, seconds: float) -> bool:
        """Wait, at most until the pod is stopped or the definition changes. Returns whether the pod is stopping."""
        return await self.pod.pause(seconds, self.redefined)

    def waiting(self, reason: str, message: str = "") -> None:
        """Set the state to waiting, with a reason."""
        self.state.state = {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        self.state.ready = self.state.started = False
        self.pod.changed()

    async def cannot(self, reason: str, message: str, words: str, event: str = "Failed") -> None:
        """Record why the container can't start, and wait until the next attempt."""
        self.waiting(reason, message)
        self.event("Warning", event, words)
        await self.pause(self.pod.retry)

    def has_started(self) -> None:
        """Record that the container has started: its startup probe has succeeded, or it has no startup probe."""
        self.state.started = True
        self.up.set()
        self.pod.changed()

    def is_ready(self, ready: bool) -> None:
        """Record the result of the readiness probe."""
        if self.state.ready != ready and self.state.running and self.kind != "init":
            self.state.ready = ready
            self.pod.changed(urgent=True)
