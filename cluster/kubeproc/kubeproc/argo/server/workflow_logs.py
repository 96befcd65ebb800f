"""The log of a workflow: its pods' logs merged by time, each line with its pod.

Mechanism. The kubelet streams each pod's log with timestamps; lines are buffered briefly, sorted, and sent. With
`follow` pods that start later are included, and the stream ends when the workflow has ended and every pod's log is
read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.datastructures import QueryParams

from kubeproc import machines, selectors
from kubeproc.argo.executor.task import MAIN, PREFIX
from kubeproc.argo.server.grep import Grep
from kubeproc.folder import ClusterFolder
from kubeproc.resources import PODS, WORKFLOWS
from kubeproc.store import Event, Store

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

Object = dict[str, Any]
Entry = tuple[str, str, str]  # (time, pod, content)

GATHER = 0.1  # seconds for which lines of several pods are buffered and sorted
DONE = ("Succeeded", "Failed", "Error")
PASSED_ON = ("tailLines", "sinceSeconds", "sinceTime", "limitBytes", "previous", "follow")


def _true(query: QueryParams, name: str) -> bool:
    return query.get(f"logOptions.{name}", "").lower() in ("true", "1")


class Merger:
    """The log of one workflow, or of one of its pods, for one client."""

    def __init__(self, store: Store, home: Path, namespace: str, workflow: str, pod: str, query: QueryParams) -> None:
        self.store, self.namespace, self.workflow, self.pod = store, namespace, workflow, pod
        self.follow, self.timestamps = _true(query, "follow"), _true(query, "timestamps")
        self.container = query.get("logOptions.container") or MAIN
        self.options = {n: query[f"logOptions.{n}"] for n in PASSED_ON if query.get(f"logOptions.{n}")}
        for name in ("follow", "previous"):
            if name in self.options:
                self.options[name] = self.options[name].lower()
        self.grep = Grep(query.get("grep", ""))
        wanted = f"{PREFIX}workflow={workflow}"
        self.match = selectors.labels(f"{wanted},{query['selector']}" if query.get("selector") else wanted)
        self.folder = ClusterFolder(home)
        self.entries: list[Entry] = []
        self.readers: dict[str, asyncio.Task[None]] = {}  # by the pod's uid
        self.news = asyncio.Event()

    async def lines(self) -> AsyncIterator[Object]:
        """Every line as `{"content": ..., "podName": ...}`."""
        loop = asyncio.get_running_loop()

        def changed(event: Event) -> None:
            if event.resource in (PODS, WORKFLOWS) and event.key[0] == self.namespace:
                loop.call_soon_threadsafe(self.news.set)

        stop = self.store.watch(changed)
        try:
            while True:
                self.news.clear()
                ended = not self.follow or self._workflow_ended()
                self._start()
                if ended and all(r.done() for r in self.readers.values()):
                    break
                await self.news.wait()
                await asyncio.sleep(GATHER if self.follow else 0)
                if self.follow:
                    for line in await self._sorted():
                        yield line
            for line in await self._sorted():
                yield line
        finally:
            stop()
            for reader in self.readers.values():
                reader.cancel()

    def _workflow_ended(self) -> bool:
        workflow = self.store.find(WORKFLOWS, self.namespace, self.workflow)
        return workflow is None or (workflow.get("status") or {}).get("phase") in DONE

    def _start(self) -> None:
        """Start to read the log of every pod that runs or has run."""
        for pod in self.store.list(PODS, self.namespace, self.match):
            meta = pod["metadata"]
            if (self.pod and meta["name"] != self.pod) or meta["uid"] in self.readers:
                continue
            if (pod.get("status") or {}).get("phase", "Pending") != "Pending":
                reader = asyncio.create_task(self._read(meta["name"], meta["uid"], pod["spec"].get("nodeName")))
                reader.add_done_callback(lambda _: self.news.set())
                self.readers[meta["uid"]] = reader

    async def _sorted(self) -> list[Object]:
        entries, self.entries = sorted(self.entries, key=lambda e: e[0]), []
        wanted = [entries[index] for index in await self.grep.matches([content for *_, content in entries])]
        return [{"content": content, "podName": pod} for _, pod, content in wanted]

    async def _read(self, pod: str, uid: str, node: str | None) -> None:
        """The pod's lines; none if its kubelet can't be reached, which Argo reports only in its own log."""
        import httpx  # slow to import, and most servers never need it

        if node and machines.is_off(self.folder, node):
            log.info("log of pod %s: the machine %s is off", pod, node)
            return
        path = f"/logs/{self.namespace}/{pod}/{self.container}"
        query = self.options | {"uid": uid, "timestamps": "true"}
        transport = httpx.AsyncHTTPTransport(uds=str(self.folder.kubelet_socket))
        try:
            async with (
                httpx.AsyncClient(transport=transport, base_url="http://kubelet", timeout=None) as kubelet,
                kubelet.stream("GET", path, params=query) as response,
            ):
                if response.status_code == 200:
                    await self._take(pod, response)
        except httpx.TransportError as error:
            log.info("log of pod %s: %s", pod, error)

    async def _take(self, pod: str, response: httpx.Response) -> None:
        rest = b""
        async for data in response.aiter_bytes():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._add(pod, line.decode(errors="replace"))
            self.news.set()
        if rest:
            self._add(pod, rest.decode(errors="replace"))

    def _add(self, pod: str, line: str) -> None:
        time, _, content = line.partition(" ")
        if self.timestamps:
            content = line
        self.entries.append((time, pod, content))
