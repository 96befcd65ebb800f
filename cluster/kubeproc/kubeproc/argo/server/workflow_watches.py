"""Watches of the Argo Server: the store's events of one kind as a stream, starting with the existing objects."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request

from kubeproc import selectors
from kubeproc.argo.server.grpc import EXHAUSTED, INVALID, Refusal
from kubeproc.resources import Resource
from kubeproc.store import Event, Store

Object = dict[str, Any]

LONGEST = 10_000  # limit of a client's queued events


class Watch:
    """One client's watch of a kind in a namespace (all, if empty)."""

    def __init__(self, request: Request, resource: Resource, namespace: str, match: selectors.Match | None) -> None:
        self.store: Store = request.app.state.store
        self.hub = getattr(request.app.state, "hub", None)
        self.resource, self.namespace, self.match = resource, namespace, match
        since = request.query_params.get("listOptions.resourceVersion") or "0"
        if not since.isdigit():
            raise Refusal(INVALID, f'Invalid value: "{since}": strconv.ParseUint: parsing "{since}": invalid syntax')
        self.since = int(since)
        seconds = request.query_params.get("listOptions.timeoutSeconds") or "0"
        if not re.fullmatch(r"[0-9]{1,9}", seconds):
            raise Refusal(INVALID, "listOptions.timeoutSeconds must be int")
        self.seconds = int(seconds) or math.inf
        self.queue: asyncio.Queue[tuple[str, Object] | None] = asyncio.Queue(LONGEST)
        self.loop = asyncio.get_running_loop()
        self.overflown = False

    def end(self) -> None:
        """End the watch, as when the server stops."""
        if self.queue.full():
            self.overflown = True
            self.queue.get_nowait()
        self.queue.put_nowait(None)

    def _offer(self, event: Event) -> None:
        if event.resource is not self.resource or (self.namespace and event.key[0] != self.namespace):
            return
        if self.match is None or self.match(event.object):
            self.loop.call_soon_threadsafe(self._put, event.type, event.object)

    def _put(self, kind: str, obj: Object) -> None:
        if self.queue.full():
            self.end()
        elif not self.overflown:
            self.queue.put_nowait((kind, obj))

    async def changes(self) -> AsyncIterator[tuple[str, Object]]:
        """(ADDED, MODIFIED or DELETED, object), until the server stops; Refusal with Argo's message when the watch
        times out or the client is too slow."""
        deadline = self.loop.time() + self.seconds
        with self.store.lock:
            first = [] if self.since else self.store.list(self.resource, self.namespace, self.match)
            stop = self.store.watch(self._offer, self.since or None)
        if self.hub is not None:
            self.hub.watchers.add(self)
        try:
            for obj in first:
                yield "ADDED", obj
            while (left := deadline - self.loop.time()) > 0:
                try:
                    async with asyncio.timeout(left):
                        change = await self.queue.get()
                except TimeoutError:
                    break
                if change is None and not self.overflown:
                    return
                if change is None:
                    break
                yield change
            raise Refusal(EXHAUSTED, "EOF")
        finally:
            stop()
            if self.hub is not None:
                self.hub.watchers.discard(self)
