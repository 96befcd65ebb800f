"""Enforces limits: of memory (the container ends as OOMKilled) and of storage (the pod ends as Evicted).

Both are sampled. Memory is read often, only of containers with a limit. The folders are walked less often: the longer a walk
takes, the rarer it gets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from kubeproc import quantity
from kubeproc.kubelet import volumes
from kubeproc.kubelet.container import Container
from kubeproc.kubelet.pod_status import Verdict
from kubeproc.kubelet.pod_worker import Pod
from kubeproc.runtime import limits as memory
from kubeproc.runtime.launch import Process

Object = dict[str, Any]
PERIOD = 0.25  # seconds between two looks at memory
STORAGE = 1.0  # seconds between two looks at a pod's folders, at least
SHARE = 20  # walks take at most 1/SHARE of the time


def limit(container: Object, name: str) -> str | None:
    return ((container.get("resources") or {}).get("limits") or {}).get(name)


async def watch(pods: Mapping[str, Pod], portable: bool) -> None:
    """Enforce the limits of all pods, given by uid, until this is cancelled."""
    due: dict[str, float] = {}  # uid of a pod -> time of the next look at its storage
    while True:
        await asyncio.sleep(PERIOD)
        for pod in list(pods.values()):
            for container in pod.containers:
                if isinstance(container.process, Process) and (text := limit(container.spec, "memory")):
                    await _memory(container, container.process, quantity.whole(text), portable)
            if _has_storage_limit(pod) and due.get(pod.uid, 0) < time.monotonic():
                began = time.monotonic()
                verdict = await asyncio.to_thread(excess, pod)
                due[pod.uid] = time.monotonic() + max(STORAGE, (time.monotonic() - began) * SHARE)
                if verdict:
                    pod.event("Warning", "Evicted", verdict.message)
                    pod.fail(verdict, 0)
        due = {uid: when for uid, when in due.items() if uid in pods}


async def _memory(container: Container, process: Process, allowed: int, portable: bool) -> None:
    used = await asyncio.to_thread(memory.usage, process, allowed, portable)
    if used > allowed and container.process is process:
        container.exceeds_memory()


def _has_storage_limit(pod: Pod) -> bool:
    sized = any("sizeLimit" in volume.spec for volume in pod.volumes.values() if volume.source == "emptyDir")
    return sized or any(limit(c.spec, "ephemeral-storage") for c in pod.containers)


def excess(pod: Pod) -> Verdict | None:
    """Why the pod must be evicted; None if it need not."""
    for volume in pod.volumes.values():
        size = volume.spec.get("sizeLimit") if volume.source == "emptyDir" else None
        if size and volumes.usage(volume.path) > quantity.whole(size):
            return evicted(f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{size}". ')
    for container in pod.containers:
        allowed = limit(container.spec, "ephemeral-storage")
        if allowed and volumes.usage(container.folder) > quantity.whole(allowed):
            return evicted(f'Container {container.name} exceeded its local ephemeral storage limit "{allowed}". ')
    return None


def evicted(message: str) -> Verdict:
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "TerminationByKubelet",
        "message": message,
        "lastProbeTime": None,
    }
    return Verdict("Evicted", message, condition)
