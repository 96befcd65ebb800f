"""Watches: a stream of JSON lines, one per event, until the timeout or until the client disconnects.

The store calls each watcher for every event, in order; the watcher filters by its selectors and puts the encoded line
into its own queue, from which one task sends. A line is encoded once for all watchers. If a client reads too slowly,
its queue fills up and the server disconnects it; the client resumes from its last version, and other watchers are not
affected.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from kubeproc.api.rest import answer
from kubeproc.api.rest.listing import selection
from kubeproc.api.rest.options import ListOptions
from kubeproc.api.rest.targets import Target
from kubeproc.api_errors import ApiError
from kubeproc.store import Event, Store, dump

QUEUE, QUEUE_BYTES = 10_000, 16 * 2**20  # limits of one client's queue: lines and bytes
BOOKMARK_SECONDS = 60.0
TIMEOUT_SECONDS = 1800  # minimum without timeoutSeconds; random up to twice that, as upstream
GATHER_SECONDS = 0.002  # a burst of lines is sent together


class Hub:
    """All watches of one server: the encoded lines they share, and a way to end them all."""

    def __init__(self) -> None:
        self.watchers: set[Watcher] = set()
        self._version = 0
        self._lines: dict[str, bytes] = {}

    def line(self, kind: str, event: Event) -> bytes:
        """The event's line with that type; encoded once for all watchers of the event."""
        if event.version != self._version:
            self._version, self._lines = event.version, {}
        found = self._lines.get(kind)
        if found is None:
            raw = event.raw
            if kind == "DELETED" and event.type != "DELETED" and event.previous:
                # The object left the selection: upstream sends its last selected state, at the version of the change.
                was = dict(event.previous)
                was["metadata"] = was["metadata"] | {"resourceVersion": str(event.version)}
                raw = dump(was)
            found = self._lines[kind] = _line(kind, raw)
        return found

    def close(self) -> None:
        """End every watch, as when the server stops."""
        for watcher in list(self.watchers):
            watcher.end()


def _line(kind: str, raw: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + raw + b"}\n"


class Watcher:
    """One client's watch, an ASGI response. Created without a lock; `start` subscribes to the store."""

    def __init__(self, request: Request, store: Store, hub: Hub, target: Target, options: ListOptions) -> None:
        self.store, self.hub, self.target, self.options = store, hub, target, options
        self.match = selection(target, options)
        self.form = answer.form(request)
        self.lines: deque[bytes] = deque()
        self.waiting = self.initial = 0  # bytes of queued events, lines of the initial list
        self.wake = asyncio.Event()
        self.loop, self.thread = asyncio.get_running_loop(), threading.get_ident()
        self.ended = self.overflown = False
        self.headers_sent = False
        self.sender: asyncio.Task[None] | None = None
        self.stop: Callable[[], None] = lambda: None

    # -- filling the queue -------------------------------------------------------------------------------------------

    def start(self) -> None:
        options, since = self.options, None
        with self.store.lock:
            fresh = options.version in ("", "0") or bool(options.initial)
            if fresh and options.initial is not False:
                self._initial()
            elif options.version not in ("", "0"):
                since = int(options.version)
            try:
                self.stop = self.store.watch(self.offer, since)
            except ApiError as error:
                self.put(_line("ERROR", dump(error.status())))
                self.ended = True
        self.hub.watchers.add(self)

    def _initial(self) -> None:
        raws, version = self.store.list_raw(self.target.resource, self.target.namespace or None, self.match)
        for raw in raws:
            self.lines.append(self._shape("ADDED", raw, None))
        self.initial = len(self.lines)
        if self.options.initial and self.options.bookmarks:
            self.lines.append(self._bookmark(version, {"k8s.io/initial-events-end": "true"}))

    def offer(self, event: Event) -> None:
        """Queue the event if it is selected; the store calls this for every event."""
        if event.resource is not self.target.resource or self.ended:
            return
        if self.target.namespace and event.key[0] != self.target.namespace:
            return
        kind: str | None = event.type
        if self.match:
            now = event.type != "DELETED" and self.match(event.object)
            before = event.previous is not None and self.match(event.previous)
            kind = {(True, True): "MODIFIED", (True, False): "ADDED", (False, True): "DELETED"}.get((now, before))
        if kind:
            self.put(self._shape(kind, b"", event))

    def _shape(self, kind: str, raw: bytes, event: Event | None) -> bytes:
        if not self.form.shape:
            return self.hub.line(kind, event) if event else _line(kind, raw)
        obj = json.loads(self.hub.line(kind, event))["object"] if event else json.loads(raw)
        shaped = answer.shaped(self.form, self.target.resource, obj)
        if self.form.shape == "Table":
            if self.headers_sent:
                shaped["columnDefinitions"] = []
            self.headers_sent = True
        return _line(kind, dump(shaped))

    def _bookmark(self, version: int, annotations: dict[str, str]) -> bytes:
        meta: dict[str, Any] = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            meta["annotations"] = annotations
        resource = self.target.resource
        obj: dict[str, Any] = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        if self.form.shape == "Table":
            obj = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": str(version)},
                   "columnDefinitions": [], "rows": [{"cells": [], "object": answer.partial(obj)}]}  # fmt: skip
        elif self.form.shape:
            obj = answer.partial(obj)
        return _line("BOOKMARK", dump(obj))

    def put(self, line: bytes) -> None:
        self.waiting += len(line)
        if len(self.lines) >= QUEUE + self.initial or self.waiting > QUEUE_BYTES:
            self.ended = self.overflown = True
            self.lines.clear()
        else:
            self.lines.append(line)
        self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        if threading.get_ident() == self.thread:
            self._woken()
        else:
            self.loop.call_soon_threadsafe(self._woken)

    def _woken(self) -> None:
        self.wake.set()
        if self.overflown and self.sender:
            self.sender.cancel()  # it blocks in `send`: the client does not read

    # -- sending -----------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.start()
        self.sender = asyncio.create_task(self._send(send))
        left = asyncio.create_task(self._left(receive))
        try:
            await self.sender
        except asyncio.CancelledError:
            if not self.overflown:
                raise
        except OSError:
            pass
        finally:
            self.stop()
            self.hub.watchers.discard(self)
            left.cancel()
            self.sender.cancel()

    async def _left(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end()

    async def _send(self, send: Send) -> None:
        seconds = self.options.timeout or 0
        if seconds <= 0:
            seconds = random.randint(TIMEOUT_SECONDS, 2 * TIMEOUT_SECONDS)
        deadline, sent = self.loop.time() + seconds, -1.0
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-cache, private")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        while (left := deadline - self.loop.time()) > 0:
            if self.lines:
                if (early := sent + GATHER_SECONDS - self.loop.time()) > 0:
                    await asyncio.sleep(early)
                data, sent = self._take(), self.loop.time()
                await send({"type": "http.response.body", "body": data, "more_body": True})
            elif self.ended:
                break
            else:
                self.wake.clear()
                await self._pause(min(left, BOOKMARK_SECONDS), last=left <= BOOKMARK_SECONDS)
        await send({"type": "http.response.body", "body": self._take(), "more_body": False})

    def _take(self) -> bytes:
        """The queued lines, joined."""
        data = b"".join(self.lines)
        self.lines.clear()
        self.waiting = self.initial = 0
        return data

    async def _pause(self, seconds: float, last: bool) -> None:
        """Wait for events, at most that long; then send a bookmark if the client wants one."""
        try:
            await asyncio.wait_for(self.wake.wait(), seconds)
        except TimeoutError:
            if self.options.bookmarks and not last:
                self.lines.append(self._bookmark(self.store.version, {}))
