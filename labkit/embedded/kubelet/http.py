"""The kubelet's own HTTP API on `run/kubelet.sock`: logs, exec, attach and port-forward, for the server only,
and the machines' switches, for the engine.

What is spoken there is in docs/architecture.md. A websocket's messages carry a channel number in their first byte; each
stream is copied at the pace of who reads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from labkit.embedded.kubelet import logs, streams
from labkit.embedded.kubelet.client import Unreachable

if TYPE_CHECKING:
    from labkit.embedded.kubelet.kubelet import Kubelet

Object = dict[str, Any]


class Server(uvicorn.Server):
    """Signals are the daemon's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


class Endpoint:
    def __init__(self, kubelet: Kubelet) -> None:
        self.kubelet = kubelet
        self._server: Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        routes = [
            Route("/healthz", _healthy),
            Route("/power", self._power, methods=["POST"]),
            Route("/logs/{namespace}/{pod}/{container}", self._logs),
            WebSocketRoute("/exec/{namespace}/{pod}/{container}", streams.handler(self.kubelet, streams.execute)),
            WebSocketRoute("/attach/{namespace}/{pod}/{container}", streams.handler(self.kubelet, streams.attach)),
            WebSocketRoute("/portforward/{namespace}/{pod}", streams.handler(self.kubelet, streams.forward)),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            http="httptools",
            ws="websockets-sansio",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._server = Server(config)
        sock = listen(self.kubelet.home.kubelet_socket)
        self._task = asyncio.create_task(self._server.serve([sock]))

    async def stop(self) -> None:
        if self._server and self._task:
            self._server.should_exit = True
            with contextlib.suppress(Exception):
                await self._task
        self.kubelet.home.kubelet_socket.unlink(missing_ok=True)

    async def _power(self, request: Request) -> Response:
        """A switch has been set: answered when it has been seen to. A server that is away hears of it later."""
        with contextlib.suppress(*Unreachable):
            await self.kubelet.switch()
        return PlainTextResponse("ok")

    async def _logs(self, request: Request) -> Response:
        query, name = request.query_params, request.path_params["container"]
        pod = self.kubelet.pods.get(query.get("uid", ""))
        container = next((c for c in pod.containers if c.name == name), None) if pod else None
        folder = self.kubelet.home.pods / os.path.basename(query.get("uid", "")) / "containers" / os.path.basename(name)
        runs = sorted(int(path.stem) for path in folder.glob("*.log"))
        path = folder / f"{runs[-1]}.log" if runs else None
        if query.get("previous") == "true":
            now = container.state.restarts if container else (runs[-1] if runs else 0)
            earlier = [run for run in runs if run < now]
            if container and "waiting" in container.state.state and runs:  # it waits to be started again
                earlier = runs
            if not earlier:
                what = f'previous terminated container "{name}" in pod "{request.path_params["pod"]}" not found'
                return PlainTextResponse(what, 404)
            path, container = folder / f"{earlier[-1]}.log", None
        if path is None:
            return PlainTextResponse("")
        try:
            options = _options(query)
        except ValueError as error:
            return PlainTextResponse(str(error), 400)
        log = container.log if container and container.log and container.log.path == path else None
        return StreamingResponse(_stream(path, log, options), media_type="text/plain")


async def _stream(path: Path, log: logs.Log | None, options: logs.Options) -> AsyncIterator[bytes]:
    async for piece in logs.read(path, log, options):
        yield piece


async def _healthy(request: Request) -> Response:
    return PlainTextResponse("ok")


def _options(query: Any) -> logs.Options:
    """Raises ValueError where a number or a time isn't one."""
    since = b""
    if query.get("sinceSeconds"):
        since = logs.stamp(int((datetime.now().timestamp() - int(query["sinceSeconds"])) * 1e9))
    elif query.get("sinceTime"):
        since = logs.stamp(int(datetime.fromisoformat(query["sinceTime"].replace("Z", "+00:00")).timestamp() * 1e9))
    return logs.Options(
        follow=query.get("follow") == "true",
        tail=int(query["tailLines"]) if query.get("tailLines") else None,
        since=since,
        timestamps=query.get("timestamps") == "true",
        limit=int(query["limitBytes"]) if query.get("limitBytes") else None,
    )


def listen(path: Path) -> socket.socket:
    """A listening unix socket of mode 0600; bound by its name alone, since a whole path may be too long for one."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.getcwd()
    mask = os.umask(0o177)
    try:
        os.chdir(path.parent)
        sock.bind(path.name)
    finally:
        os.umask(mask)
        os.chdir(before)
    sock.listen(128)
    return sock
