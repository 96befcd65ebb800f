"""Containers that are no program but a part of the kubelet: Argo's executor, called in-process.

Their image's kind names them in BUILTIN; what stands there makes something that a container can treat as its process.
"""

from __future__ import annotations

import asyncio
import logging
import signal as signals
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from labkit.embedded.runtime.launch import Exit

if TYPE_CHECKING:
    from labkit.embedded.kubelet.container import Container

log = logging.getLogger("kubelet")


class Inline:
    """A coroutine in the place of a process: ends with the code and the termination message that it returns.

    KILL cancels it. TERM does so with `on_term` as its end; without one it goes on, since what it waits for has got a TERM
    of its own.
    """

    def __init__(
        self, container: Container, call: Callable[[], Awaitable[Any]], on_term: tuple[int, str] | None
    ) -> None:
        self.container, self.started, self.on_term = container, time.time(), on_term
        self._cancelled = (128 + signals.SIGKILL, "")
        self._task = asyncio.ensure_future(self._run(call))

    async def _run(self, call: Callable[[], Awaitable[Any]]) -> Exit:
        message = ""
        try:
            outcome = await call()
            code, message = outcome.code, outcome.message
        except asyncio.CancelledError:
            code, message = self._cancelled
        except Exception as error:
            log.exception("the executor of %s failed", self.container.name)
            code, message = 1, f"{type(error).__name__}: {error}"
        if message:
            self.container.folder.joinpath("termination-log").write_text(message)
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


def executor(container: Container) -> Inline:
    from labkit.embedded.argo import executor as argo  # loaded when the first workflow needs it
    from labkit.embedded.kubelet.lent import Files

    pod = container.pod
    on_term = None if container.name == "wait" else argo.TERMINATED
    return Inline(container, lambda: argo.run(pod.object, container.name, Files(pod)), on_term)


BUILTIN: dict[str, Callable[[Container], Inline]] = {"executor": executor}
