"""The kubelet's own HTTP API on the unix socket `run/kubelet.sock` (mode 0600). The server calls it for logs, exec, attach
and port-forward, as a real API server calls a real kubelet; an engine calls it for the power of nodes.

The server has resolved and checked the pod, the container and their state, so a request always names a container; `uid` is
the pod's.

- `GET /healthz` answers `ok`.
- `POST /power` looks at the nodes' switches, and answers when every node has power as they say.
- `GET /logs/NS/POD/CONTAINER?uid=&follow=&previous=&tailLines=&sinceSeconds=&sinceTime=&timestamps=&limitBytes=` streams
  text: lines, or `TIME line` with `timestamps`. `follow` ends when the container has ended and its log is read, and not when
  it restarts. The log of a container that has not started is empty. 404 and a sentence if there is no such log.
- `WS /exec/NS/POD/CONTAINER?uid=&command=A&command=B&stdin=&stdout=&stderr=&tty=` and `WS /attach/...` (without `command`)
  speak the subprotocol `v5.channel.k8s.io` in binary messages. The first byte is the channel: 0 stdin, 1 stdout, 2 stderr,
  3 error, 4 resize (`{"Width":80,"Height":24}`), 255 close (the second byte names the channel that the client has finished;
  0 closes stdin). With `tty` stderr goes to channel 1. At the end the kubelet sends one Status on channel 3 and closes with
  1000: Success, or Failure with the reason `NonZeroExitCode` and the exit code as a cause, or with the reason `InternalError`
  if the program can't be started.
- `WS /portforward/NS/POD?uid=&ports=8080&ports=9000` speaks `v4.channel.k8s.io`. Port number i has the data channel 2i and
  the error channel 2i + 1 (text); the first message of each is the port as two bytes, little-endian. Ports of containers are
  mapped to host ports.

A refusal comes before the websocket is accepted, as a plain HTTP answer (404, 400 or 500) with a sentence as text. The server
itself answers an attach that is refused with 404 if the client has read the log in the last 5 seconds: it sends the rest of
the log and Success, since kubectl reads the log before it attaches.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from kubeproc import timestamps
from kubeproc.kubelet import logs, streams
from kubeproc.kubelet.api_client import Unreachable
from kubeproc.kubelet.kubelet import Kubelet

Object = dict[str, Any]


class Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: the daemon handles signals."""

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
        """Apply the switches, then answer. If the server is away, the kubelet updates the API later."""
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
            if container and "waiting" in container.state.state and runs:  # it waits for its restart
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
    """Raises ValueError for an invalid number or time."""
    since = b""
    if query.get("sinceSeconds"):
        since = logs.stamp(int((time.time() - int(query["sinceSeconds"])) * 1e9))
    elif query.get("sinceTime"):
        since = logs.stamp(int(timestamps.seconds(query["sinceTime"]) * 1e9))
    return logs.Options(
        follow=query.get("follow") == "true",
        tail=int(query["tailLines"]) if query.get("tailLines") else None,
        since=since,
        timestamps=query.get("timestamps") == "true",
        limit=int(query["limitBytes"]) if query.get("limitBytes") else None,
    )


def listen(path: Path) -> socket.socket:
    """A listening unix socket of mode 0600. Binds the name in the socket's folder, since a whole path may be too long."""
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
