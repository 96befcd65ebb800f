"""The server's process: the store, the controllers and the API on one event loop, over TLS, on loopback only.

`python -m labkit.embedded.server --home DIR [--port N] [--ready-fd FD]`. It holds the lock `run/server.lock` while it
lives, writes one byte to FD once it answers (or why it can't), and ends gracefully on SIGTERM: watches are closed first,
since they would never end by themselves. A thread brings the store to the disk once a second.
"""

from __future__ import annotations

import argparse
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
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from labkit.embedded import controllers, credentials, lock, machines, ready
from labkit.embedded.admission import admit, claim, serviceaccount
from labkit.embedded.api import app as api
from labkit.embedded.api.handshake import WebSocketProtocol
from labkit.embedded.controllers import aggregation, loop
from labkit.embedded.rbac import defaults
from labkit.embedded.resources import CLUSTERROLES, NAMESPACES, STORAGECLASSES
from labkit.embedded.status import ApiError
from labkit.embedded.store import Store
from labkit.errors import LabError
from labkit.paths import ClusterFolder

log = logging.getLogger("server")

SYNC_SECONDS, STOP_SECONDS = 1.0, 5
GOODBYE = 0.2  # seconds that a client has to answer TLS's close before its connection is cut
SPACE = "make room on its disk, or set LABKIT_HOME to a folder that you may write"
SPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def build(store: Store, folder: ClusterFolder) -> Starlette:
    """The application with its controllers, which run for as long as it is up; without TLS, so that tests can call it."""
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

    return api.build(store, folder.root, lifespan)


def open_store(folder: ClusterFolder) -> Store:
    return Store(folder.database, admit=admit)


def first_objects(store: Store, nodes: int = 1) -> None:
    """What is there before anybody asks: namespaces, each with its default service account, a storage class, and roles."""
    for name in SPACES:
        if store.find(NAMESPACES, "", name) is None:
            store.create(NAMESPACES, {"metadata": {"name": name}})
        serviceaccount.ensure_default(store, name)
    if store.find(STORAGECLASSES, "", claim.CLASS) is None:
        store.create(STORAGECLASSES, claim.standard_class(nodes))
    defaults.ensure(store)
    for role in store.list(CLUSTERROLES):
        aggregation.reconcile(role, store)  # before the first request, which may need it


async def _sync(store: Store) -> None:
    while True:
        await asyncio.sleep(SYNC_SECONDS)
        try:
            await asyncio.to_thread(store.sync)
        except sqlite3.Error as error:  # a full disk: writers are told by themselves
            log.warning("the database can't be brought to the disk: %s", error)


async def _control(store: Store, folder: ClusterFolder) -> None:
    """Run all controllers; if they end the server can't do its work, so it ends as well and is started again."""
    try:
        await loop.run(controllers.build(folder), store)
    except Exception:
        log.exception("the controllers have ended")
        os.kill(os.getpid(), signal.SIGTERM)


class Server(uvicorn.Server):
    """uvicorn's server, which says when it listens and ends the watches before it waits for its connections."""

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
        """Cut the connections that are closing: TLS would wait for a client that sleeps to say goodbye as well."""
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
    """A listening socket on 127.0.0.1; LabError where the port is taken."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else asyncio leaves Nagle on
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
    except OSError as error:
        sock.close()
        raise LabError(f"port {port} of 127.0.0.1 can't be had: {error.strerror}", "choose another --port") from error
    return sock


def _port(folder: ClusterFolder) -> int:
    try:
        return int(json.loads(folder.info.read_text())["port"])
    except (FileNotFoundError, KeyError, ValueError):
        return 0


def serve(folder: ClusterFolder, port: int | None = None, pipe: int | None = None) -> None:
    """Serve the cluster until SIGTERM or SIGINT. `port` is by default the one of cluster.json, 0 a free one."""
    try:
        for path in (folder.root, folder.run):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.keep(folder.run / "server.lock", "server")
        sock = listen(_port(folder) if port is None else port)
        credentials.prepare(folder, sock.getsockname()[1])
    except OSError as error:
        raise LabError(f"the cluster's folder {folder.root} can't be used: {error}", SPACE) from error
    store = open_store(folder)
    try:
        try:
            app = build(store, folder)
        except ApiError as error:
            raise LabError(error.message, SPACE) from error
        Server(configure(app, folder), app, pipe).run([sock])
    finally:
        store.close()


def _ended(number: int, frame: object) -> None:
    """For a signal before uvicorn has taken over, and the one that it raises once more when it has stopped."""
    raise SystemExit(0)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m labkit.embedded.server", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the cluster's folder")
    parser.add_argument("--port", type=int, help="on 127.0.0.1; 0 for a free one, by default that of cluster.json")
    parser.add_argument("--ready-fd", type=int, help="where to write a byte once the server answers")
    chosen = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ended)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        serve(ClusterFolder(chosen.home), chosen.port, chosen.ready_fd)
    except LabError as error:
        ready.fail(chosen.ready_fd, error)
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
