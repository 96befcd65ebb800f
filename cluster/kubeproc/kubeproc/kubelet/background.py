"""Runs work in the background, once or again and again, and logs its failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

log = logging.getLogger("kubelet")
AGAIN = 1.0  # seconds until work that failed starts again


class Background:
    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work` in a task of its own and log its failure."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            log.error("in the background", exc_info=task.exception())


async def keep_running(work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` until this is cancelled. Each run begins with a look at what exists, so it can start again after a failure."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s failed and starts again", work)
        await asyncio.sleep(AGAIN)
