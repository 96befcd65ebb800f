"""Events of the kubelet: queued at once, written in the background a little later, and counted when repeated."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from typing import Any

from kubeproc import timestamps
from kubeproc.kubelet.api_client import Api, Refused, Unreachable

Object = dict[str, Any]
PAUSE = 0.1  # seconds before an event is written, so that pods start first
REMEMBERED = 2048
QUEUED = 5000


class Recorder:
    def __init__(self, api: Api) -> None:
        self.api = api
        self._queue: deque[Object] = deque(maxlen=QUEUED)
        self._ready = asyncio.Event()
        self._known: OrderedDict[tuple[str, ...], tuple[str, int]] = OrderedDict()

    def record(self, obj: Object, type: str, reason: str, message: str, container: str = "", kind: str = "") -> None:
        """Queue an event of a pod or of its node. `type` is Normal or Warning; `container` and `kind` (containers,
        initContainers) name the field path."""
        meta = obj["metadata"]
        involved = {
            "kind": obj["kind"],
            "namespace": meta.get("namespace"),
            "name": meta["name"],
            "uid": meta["uid"],
            "apiVersion": obj.get("apiVersion", "v1"),
            "resourceVersion": meta.get("resourceVersion"),
            "fieldPath": f"spec.{kind}{{{container}}}" if container else None,
        }
        moment, node = timestamps.now(), meta["name"] if obj["kind"] == "Node" else obj["spec"].get("nodeName", "")
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{meta['name']}.{time.time_ns():x}",
                "namespace": meta.get("namespace") or "default",
            },
            "involvedObject": {k: v for k, v in involved.items() if v},
            "reason": reason,
            "message": message[:1024],
            "source": {"component": "kubelet", "host": node},
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
            "type": type,
            "reportingComponent": "kubelet",
            "reportingInstance": node,
        }
        self._queue.append(event)
        self._ready.set()

    async def run(self) -> None:
        """Write the queued events until this is cancelled."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            await asyncio.sleep(PAUSE)
            while self._queue:
                try:
                    await self._write(self._queue[0])
                except Refused:
                    pass  # the namespace is gone, or the server rejects the event
                except Unreachable:
                    await asyncio.sleep(1)
                    continue
                self._queue.popleft()

    async def _write(self, event: Object) -> None:
        involved = event["involvedObject"]
        about = (involved["uid"], involved.get("fieldPath", ""), event["type"], event["reason"], event["message"])
        path = f"/api/v1/namespaces/{event['metadata']['namespace']}/events"
        if about in self._known:
            name, count = self._known[about]
            try:
                await self.api.merge(f"{path}/{name}", {"count": count + 1, "lastTimestamp": event["lastTimestamp"]})
                self._known[about] = (name, count + 1)
                return
            except Refused:
                pass
        await self.api.create(path, event)
        self._known[about] = (event["metadata"]["name"], 1)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
