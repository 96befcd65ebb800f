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
    """A coroutine in the place of a process: ends with the code and the termination message that it returns."""

    def __init__(self, container: Container, call: Callable[[], Awaitable[Any]]) -> None:
        self.container, self.started = container, time.time()
        self._task = asyncio.ensure_future(self._run(call))

    async def _run(self, call: Callable[[], Awaitable[Any]]) -> Exit:
        message = ""
        try:
            outcome = await call()
            code, message = outcome.code, outcome.message
        except asyncio.CancelledError:
            code = 128 + signals.SIGTERM
        except Exception as error:
            log.exception("the executor of %s failed", self.container.name)
            code, message = 1, f"{type(error).__name__}: {error}"
        if message:
            self.container.folder.joinpath("termination-log").write_text(message)
        return Exit(code, None, self.started, time.time())

    async def wait(self) -> Exit:
        await asyncio.wait([self._task])
        if self._task.cancelled():  # before its first step
            return Exit(128 + signals.SIGTERM, None, self.started, time.time())
        return self._task.result()

    def kill(self, signal: int) -> None:
        self._task.cancel()


def executor(container: Container) -> Inline:
    from labkit.embedded.argo import executor as argo  # loaded when the first workflow needs it
    from labkit.embedded.kubelet.lent import Files

    pod = container.pod
    return Inline(container, lambda: argo.run(pod.object, container.name, Files(pod)))


BUILTIN: dict[str, Callable[[Container], Inline]] = {"executor": executor}
