"""Stands in for the process of a container of Argo's executor: see `executor`."""

from __future__ import annotations

import asyncio
import logging
import signal as signals
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from kubeproc.kubelet.executor import Outcome
from kubeproc.runtime.launch import Exit

log = logging.getLogger("kubelet")


class Inline:
    """A coroutine in the place of a process. It returns the exit code and the termination message, which goes to the file
    `message`.

    KILL cancels it. TERM cancels it too, and `on_term` is its outcome; if that is None the coroutine ignores TERM, since the
    container that it waits for gets a TERM of its own.
    """

    def __init__(
        self, name: str, message: Path, call: Callable[[], Awaitable[Outcome]], on_term: tuple[int, str] | None
    ) -> None:
        self.name, self.message, self.started, self.on_term = name, message, time.time(), on_term
        self._cancelled = (128 + signals.SIGKILL, "")
        self._task = asyncio.ensure_future(self._run(call))

    async def _run(self, call: Callable[[], Awaitable[Outcome]]) -> Exit:
        message = ""
        try:
            outcome = await call()
            code, message = outcome.code, outcome.message
        except asyncio.CancelledError:
            code, message = self._cancelled
        except Exception as error:
            log.exception("the executor of %s failed", self.name)
            code, message = 1, f"{type(error).__name__}: {error}"
        if message:
            self.message.write_text(message)
        return Exit(code, None, self.started, time.time())

    async def wait(self) -> Exit:
        await asyncio.wait([self._task])
        if self._task.cancelled():  # before its first step
            return Exit(self._cancelled[0], None, self.started, time.time())
        return self._task.result()

    def kill(self, signal: int) -> None:
        if signal == signals.SIGKILL:
            self._task.cancel()
        elif self.on_term:
            self._cancelled = self.on_term
            self._task.cancel()
