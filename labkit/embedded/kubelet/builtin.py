"""Containers that are no program but a part of the kubelet: Argo's executor, called in-process.

Their image's kind names them in BUILTIN; what stands there makes something that a container can treat as its process.
"""

from __future__ import annotations

import asyncio
import logging
import signal as signals
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from labkit.embedded.runtime.launch import Exit

if TYPE_CHECKING:
    from labkit.embedded.kubelet.container import Container
    from labkit.embedded.kubelet.pod import Pod

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
        return await asyncio.shield(self._task)

    def kill(self, signal: int) -> None:
        self._task.cancel()


class Files:
    """What the executor may reach of its pod: see `argo.executor.Files`."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self.home: Path = pod.kubelet.home.root
        self.api = httpx.AsyncClient(transport=_transport(pod), base_url=_url(pod), auth=_Account(pod), timeout=30)

    def path(self, container: str, path: str) -> Path:
        found = self._pod.container(container)
        return self._pod.kubelet.runtime.host_path(found.launch({}, []), path)

    def translate(self, container: str, text: str) -> str:
        found = self._pod.container(container)
        return self._pod.kubelet.runtime.translate(found.launch({}, []), text)

    def log(self, container: str) -> Path:
        return self._pod.container(container).log_path

    async def finished(self, container: str) -> int:
        found = self._pod.container(container)
        await found.ended.wait()
        code = found.state.exit_code
        return 137 if code is None else code


_transports: dict[str, httpx.AsyncHTTPTransport] = {}


def _url(pod: Pod) -> str:
    return f"https://127.0.0.1:{pod.kubelet.api.pool.port}"


def _transport(pod: Pod) -> httpx.AsyncHTTPTransport:
    """One for the clients of all pods."""
    url = _url(pod)
    if url not in _transports:
        limits = httpx.Limits(max_connections=None)
        _transports[url] = httpx.AsyncHTTPTransport(verify=pod.kubelet.api.pool.context, limits=limits)
    return _transports[url]


class _Account(httpx.Auth):
    """The token of a pod's service account, asked for at the first request."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        raise RuntimeError("the executor's client is asynchronous")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncIterator[httpx.Request]:  # type: ignore[override]
        request.headers["Authorization"] = f"Bearer {await self.pod.token()}"
        yield request


def executor(container: Container) -> Inline:
    from labkit.embedded.argo import executor as argo

    pod = container.pod
    return Inline(container, lambda: argo.run(pod.object, container.name, Files(pod)))


BUILTIN: dict[str, Callable[[Container], Inline]] = {"executor": executor}
