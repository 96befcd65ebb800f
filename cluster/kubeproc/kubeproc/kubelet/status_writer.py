"""Writes a pod's status to the API: at once if it is urgent, otherwise after a moment.

The moment saves writes: a pod that starts quickly needs only one. While the server is away, the writer retries with the newest
status.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from kubeproc.kubelet.api_client import Api, Refused, Unreachable

Object = dict[str, Any]
log = logging.getLogger("kubelet")
PATIENCE = 0.2  # seconds that a status which is not urgent may wait
FIRST, LONGEST = 0.1, 2.0  # seconds between two attempts


class StatusWriter:
    """`build` makes the status. `written` is called after a write, with the status and the server's answer; `refused` if the
    pod is gone."""

    def __init__(
        self,
        api: Api,
        path: str,
        uid: str,
        build: Callable[[], Object],
        written: Callable[[Object, Object], None],
        refused: Callable[[], None],
    ) -> None:
        self.api, self.path, self.uid, self.build, self.written, self.refused = api, path, uid, build, written, refused
        self.silent = False  # nothing is written from now on
        self.last: Object | None = None  # what the server has
        self._dirty, self._urgent = asyncio.Event(), asyncio.Event()
        self._sending = asyncio.Lock()

    def changed(self, urgent: bool = False) -> None:
        """Have the changed status written."""
        self._dirty.set()
        if urgent:
            self._urgent.set()

    async def run(self) -> None:
        """Write each change, until this is cancelled."""
        while True:
            await self._dirty.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._urgent.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write the current status, and retry until the server has it."""
        delay = FIRST
        async with self._sending:
            while True:
                self._dirty.clear()
                self._urgent.clear()
                wanted = self.build()
                if wanted == self.last or self.silent:
                    return
                operations: list[Object] = [
                    {"op": "test", "path": "/metadata/uid", "value": self.uid},
                    {"op": "add", "path": "/status", "value": wanted},
                ]
                try:
                    answer = await self.api.patch(f"{self.path}/status", operations)
                except Unreachable:
                    pass
                except Refused as error:
                    if error.code in (404, 422):
                        if error.code == 422:
                            log.warning("status of %s: %s", self.path, error)
                        self.refused()
                        return
                    log.warning("status of %s: %s", self.path, error)
                else:
                    self.last = wanted
                    self.written(wanted, answer)
                    return
                await asyncio.sleep(delay)
                delay = min(delay * 2, LONGEST)

    def server_is_back(self, status: Object | None) -> None:
        """Write again if the server, which was away, has an old status."""
        if status != self.last:
            self.last = None
            self.changed()
