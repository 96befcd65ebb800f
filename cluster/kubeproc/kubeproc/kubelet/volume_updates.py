"""Updates the volumes of pods after changes of ConfigMaps, Secrets and tokens.

The watch of a kind starts with the first pod that has a volume of it; the age of tokens is checked once a minute.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Mapping
from typing import Any, Protocol

from kubeproc.kubelet import volumes
from kubeproc.kubelet.api_client import Api
from kubeproc.kubelet.background import keep_running

TOKENS = 60.0  # seconds between two looks at the age of tokens


class Shows(Protocol):
    """The part of a pod that updates need."""

    object: dict[str, Any]
    volumes: dict[str, volumes.Volume]

    async def rewrite_volumes(self) -> None: ...


class VolumeUpdates:
    def __init__(self, api: Api, pods: Mapping[str, Shows]) -> None:
        self.api, self.pods = api, pods
        self._following: dict[str, asyncio.Task[None]] = {}

    def follow(self, pod: dict[str, Any]) -> None:
        """Update the pod's volumes from now on, after each change of a ConfigMap or Secret."""
        for kind in ("configMap", "secret"):
            if kind not in self._following and volumes.shows(pod, kind):
                self._following[kind] = asyncio.create_task(keep_running(functools.partial(self._follow, kind)))

    async def _follow(self, kind: str) -> None:
        async for change in self.api.watch(f"/api/v1/{kind.lower()}s"):
            if change.type in ("ADDED", "MODIFIED"):
                meta = change.object["metadata"]
                for pod in list(self.pods.values()):
                    same = pod.object["metadata"]["namespace"] == meta["namespace"]
                    if same and volumes.uses(pod.object, kind, meta["name"]):
                        await pod.rewrite_volumes()

    async def refresh_tokens(self) -> None:
        while True:
            await asyncio.sleep(TOKENS)
            for pod in list(self.pods.values()):
                if any(volume.refresh_at < time.time() for volume in pod.volumes.values()):
                    await pod.rewrite_volumes()

    def stop(self) -> None:
        for task in self._following.values():
            task.cancel()
