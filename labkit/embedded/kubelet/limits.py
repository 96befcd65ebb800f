"""What a pod may use: memory (its container ends as OOMKilled) and storage (the pod ends as Evicted).

Both are sampled. Memory is looked at often, for containers with a limit only; the folders are walked less often, and the
longer a walk takes the less often still.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from labkit.embedded import quantity
from labkit.embedded.kubelet import volumes
from labkit.embedded.kubelet.status import Verdict
from labkit.embedded.runtime import limits as memory
from labkit.embedded.runtime.launch import Process

if TYPE_CHECKING:
    from labkit.embedded.kubelet.container import Container
    from labkit.embedded.kubelet.kubelet import Kubelet
    from labkit.embedded.kubelet.pod import Pod

Object = dict[str, Any]
PERIOD = 0.25  # seconds between two looks at memory
STORAGE = 1.0  # seconds between two looks at a pod's folders, at least
SHARE = 20  # a walk may take this part of the time, 1/SHARE


def limit(container: Object, name: str) -> str | None:
    return ((container.get("resources") or {}).get("limits") or {}).get(name)


async def watch(kubelet: Kubelet) -> None:
    """Hold all pods to their limits, for ever."""
    due: dict[str, float] = {}  # pod's uid -> when its storage is looked at next
    while True:
        await asyncio.sleep(PERIOD)
        for pod in list(kubelet.pods.values()):
            for container in pod.containers:
                if isinstance(container.process, Process) and (text := limit(container.spec, "memory")):
                    await _memory(container, container.process, quantity.whole(text), kubelet.runtime.portable)
            if _has_storage_limit(pod) and due.get(pod.uid, 0) < time.monotonic():
                began = time.monotonic()
                verdict = await asyncio.to_thread(excess, pod)
                due[pod.uid] = time.monotonic() + max(STORAGE, (time.monotonic() - began) * SHARE)
                if verdict:
                    pod.event("Warning", "Evicted", verdict.message)
                    pod.fail(verdict, 0)
        due = {uid: when for uid, when in due.items() if uid in kubelet.pods}


async def _memory(container: Container, process: Process, allowed: int, portable: bool) -> None:
    used = await asyncio.to_thread(memory.usage, process, allowed, portable)
    if used > allowed and container.process is process:
        container.exceeds_memory()


def _has_storage_limit(pod: Pod) -> bool:
    sized = any("sizeLimit" in volume.spec for volume in pod.volumes.values() if volume.source == "emptyDir")
    return sized or any(limit(c.spec, "ephemeral-storage") for c in pod.containers)


def excess(pod: Pod) -> Verdict | None:
    """Why the pod must be evicted, if it must."""
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
