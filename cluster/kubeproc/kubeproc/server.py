"""The server's process: the store, the controllers and the API on one event loop, over TLS, on loopback only.

`python -m kubeproc.server --home DIR [--port N] [--ready-fd FD]`. It holds the lock `run/server.lock` while it runs,
writes one byte to FD once it answers (or the reason why it can't), and shuts down gracefully on SIGTERM: it closes
watches first, since they never end by themselves. A thread syncs the store to disk once a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette

from kubeproc import controllers, credentials, embedder, lock, machines, process, ready
from kubeproc.admission import admit, claim, serviceaccount
from kubeproc.api import app as api
from kubeproc.api.streams.handshake import WebSocketProtocol
from kubeproc.api_errors import ApiError
from kubeproc.argo.server import routes as argo
from kubeproc.argo.workflow import controller as workflow
from kubeproc.controllers import aggregation, loop
from kubeproc.errors import HintedError
from kubeproc.folder import ClusterFolder
from kubeproc.network import cluster_ips, mode
from kubeproc.rbac import defaults
from kubeproc.resources import CLUSTERROLES, NAMESPACES, STORAGECLASSES
from kubeproc.store import Store

log = logging.getLogger("server")

SYNC_SECONDS, STOP_SECONDS = 1.0, 5
GOODBYE = 0.2  # seconds that a client has to answer the TLS close before its connection is aborted
SPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def build(store: Store, folder: ClusterFolder) -> Starlette:
    """The application with its controllers, which run during its lifespan; without TLS, so that tests can call it."""
    if mode.own(folder):
        cluster_ips.enable(store)
    first_objects(store, len(machines.of(folder)))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_sync(store)), asyncio.create_task(_control(store, folder))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return api.build(store, folder.root, lifespan, [argo])


def open_store(folder: ClusterFolder) -> Store:
    return Store(folder.database, admit=admit)


def first_objects(store: Store, nodes: int = 1) -> None:
    """The objects of a new cluster: namespaces with their default service accounts, a storage class, and roles."""
    for name in SPACES:
        if store.find(NAMESPACES, "", name) is None:
            store.create(NAMESPACES, {"metadata": {"name": name}})
        serviceaccount.ensure_default(store, name)
    if store.find(STORAGECLASSES, "", claim.CLASS) is None:
        store.create(STORAGECLASSES, claim.standard_class(nodes))
    defaults.ensure(store)
    for role in store.list(CLUSTERROLES):
        aggregation.reconcile(role, store)  # before the first request, which may need the account


async def _sync(store: Store) -> None:
    while True:
        await asyncio.sleep(SYNC_SECONDS)
        try:
            await asyncio.to_thread(store.sync)
        except sqlite3.Error as error:  # a full disk: each write reports it, too
            log.warning("the database can't be synced to disk: %s", error)


async def _control(store: Store, folder: ClusterFolder) -> None:
    """Run all controllers; if they end the server can't do its work, so it ends as well and the kubelet restarts it."""
    try:
        await loop.run([workflow.CONTROLLER, *controllers.build(folder)], store)
    except Exception:
        log.exception("the controllers have ended")
        os.kill(os.getpid(), signal.SIGTERM)


class Server(uvicorn.Server):
    """uvicorn's server, which reports when it listens, and closes the watches before it waits for its connections."""

    def __init__(self, config: uvicorn.Config, app: Starlette, pipe: int | None) -> None:
        super().__init__(config)
        self.app, self.pipe = app, pipe

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        ready.say(self.pipe)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.app.state.hub.close()
        cutting = asyncio.create_task(self._cut())
        await super().shutdown(sockets)
        cutting.cancel()

    async def _cut(self) -> None:
        """Abort the connections that are closing: TLS would wait for an unresponsive client's close message."""
        before: set[asyncio.Transport] = set()
        while True:
            await asyncio.sleep(GOODBYE)
            transports = {c.transport for c in self.server_state.connections}
            closing = {t for t in transports if isinstance(t, asyncio.Transport) and t.is_closing()}
            for transport in closing & before:
                transport.abort()
            before = closing


def configure(app: Starlette, folder: ClusterFolder) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ssl_certfile=str(folder.certificate),
        ssl_keyfile=str(folder.key),
        http="httptools",
        ws=WebSocketProtocol,
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=120,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


def listen(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1; HintedError if the port is taken."""
    # Without IPPROTO_TCP, asyncio leaves Nagle's algorithm on.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
    except OSError as error:
        sock.close()
        raise HintedError(
            f"port {port} of 127.0.0.1 is not available: {error.strerror}", "choose another --port"
        ) from error
    return sock


def _port(folder: ClusterFolder) -> int:
    try:
        return int(json.loads(folder.info.read_text())["port"])
    except (FileNotFoundError, KeyError, ValueError):
        return 0


def serve(folder: ClusterFolder, port: int | None = None, pipe: int | None = None) -> None:
    """Serve the cluster until SIGTERM or SIGINT. `port` defaults to that of cluster.json; 0 means a free one."""
    try:
        for path in (folder.root, folder.run):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.keep(folder.run / "server.lock", "server")
        sock = listen(_port(folder) if port is None else port)
        credentials.prepare(folder, sock.getsockname()[1])
    except OSError as error:
        raise HintedError(f"the cluster's folder {folder.root} can't be used: {error}", _space()) from error
    store = open_store(folder)
    try:
        try:
            app = build(store, folder)
        except ApiError as error:
            raise HintedError(error.message, _space()) from error
        Server(configure(app, folder), app, pipe).run([sock])
    finally:
        store.close()


def _ended(number: int, frame: object) -> None:
    """Handles a signal that arrives before uvicorn's handlers are set, and the one that uvicorn raises again after it
    stops."""
    raise SystemExit(0)


def _space() -> str:
    return f"free some disk space, or {embedder.current().home}"


def main(arguments: list[str] | None = None) -> int:
    parser = process.parser("server", __doc__, "the server answers")
    parser.add_argument("--port", type=int, help="on 127.0.0.1; 0 for a free one (default: that of cluster.json)")
    chosen = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ended)
    return process.run(chosen.home, chosen.ready_fd, lambda folder: serve(folder, chosen.port, chosen.ready_fd))


if __name__ == "__main__":
    sys.exit(main())
