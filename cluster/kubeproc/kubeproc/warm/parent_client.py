"""The starter's side of a parent, driven by an event loop (`sync` works without one).

Messages wait in an outbox with their descriptors while the socket is full. Reports are read when the loop signals them, and
resolve the futures of their child. The loss of the parent resolves all futures.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kubeproc.warm import wire
from kubeproc.warm.spawn import Exit, Spawn, SpawnError, exit_of, lost, start_process, wait_for


class AsyncChild:
    """A program that was started; `pid` is that of the host."""

    def __init__(self, parent: AsyncParent, id: int) -> None:
        loop = asyncio.get_running_loop()
        self.parent = parent
        self.id = id
        self.pid = 0
        self.started = 0.0
        self.begun: asyncio.Future[None] = loop.create_future()
        self.exit: asyncio.Future[Exit] = loop.create_future()

    async def wait(self) -> Exit:
        return await asyncio.shield(self.exit)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal the program; does nothing if it has ended."""
        if not self.exit.done():
            self.parent.send({"op": "signal", "id": self.id, "signal": int(number)})


class AsyncParent:
    """A parent driven by the running event loop. `await start()` returns when it is ready to fork."""

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket, portable: bool) -> None:
        self.process = process
        self.pid = process.pid
        self.sock = sock
        self.portable = portable
        self.reader = wire.Reader(sock)
        self.outbox: collections.deque[tuple[bytes, list[int]]] = collections.deque()
        self.children: dict[int, AsyncChild] = {}
        self.ids = itertools.count(1)
        self.loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[dict[str, Any]] = self.loop.create_future()
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self.reaped: asyncio.Future[None] = self.closed
        self.last_used = time.monotonic()
        sock.setblocking(False)
        self.loop.add_reader(sock, self.receive)

    @classmethod
    async def start(
        cls,
        preload: Sequence[str] = (),
        *,
        portable: bool = False,
        namespaces: str = "",
        env: dict[str, str] | None = None,
        log: Path | None = None,
        users: int | None = None,
    ) -> AsyncParent:
        """Start a parent that imports `preload` (missing modules are skipped), in the user namespace behind the descriptor
        `users`, if there is one. Raises SpawnError if it dies."""
        parent = cls(*start_process(preload, portable, namespaces, env, log, users), portable)
        try:
            await asyncio.shield(parent.ready)
        except BaseException:
            await parent.stop()
            raise
        return parent

    @property
    def alive(self) -> bool:
        return not self.closed.done()

    async def spawn(self, spawn: Spawn, fds: Sequence[int]) -> AsyncChild:
        """Start a program on these descriptors (the caller keeps its own copies): three, and the network namespace's, if it has
        one of its own. Raises SpawnError."""
        if not self.alive:
            raise SpawnError("the process that forks programs has ended")
        child = AsyncChild(self, next(self.ids))
        self.children[child.id] = child
        self.last_used = time.monotonic()
        self.send(spawn.message(child.id, self.portable), [os.dup(fd) for fd in fds])
        try:
            await asyncio.shield(child.begun)
        except asyncio.CancelledError:
            child.kill()
            raise
        return child

    async def stop(self) -> None:
        """End the parent and every child of it."""
        self.lose()
        await asyncio.shield(self.reaped)

    def send(self, message: wire.Message, fds: Sequence[int] = ()) -> None:
        if self.alive:
            self.outbox.append((wire.encode(message, fds), list(fds)))
            self.flush()

    def flush(self) -> None:
        try:
            while self.outbox:
                data, fds = self.outbox.popleft()
                try:
                    sent = socket.send_fds(self.sock, [data], fds) if fds else self.sock.send(data)
                except BlockingIOError:
                    self.outbox.appendleft((data, fds))
                    self.loop.add_writer(self.sock, self.flush)
                    return
                for fd in fds:
                    os.close(fd)
                if sent < len(data):
                    self.outbox.appendleft((data[sent:], []))
            self.loop.remove_writer(self.sock)
        except (BrokenPipeError, ConnectionResetError):
            self.lose()

    def receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if not self.reader.deliver(self.take):
                self.lose()

    def take(self, message: wire.Message) -> None:
        if message["event"] == "ready":
            self.pid = message["pid"]
            self.last_used = time.monotonic()
            self.ready.set_result(message["loaded"])
            return
        child = self.children[message["id"]]
        if message["event"] == "started":
            child.pid, child.started = message["pid"], message["at"]
            if not child.begun.done():
                child.begun.set_result(None)
            return
        del self.children[child.id]
        self.last_used = time.monotonic()
        if message["event"] == "exited":
            child.exit.set_result(exit_of(message))
            return
        if child.begun.done():
            child.exit.set_result(lost(child.pid, child.started))
            return
        child.begun.set_exception(SpawnError(message["error"], message["errno"]))
        child.begun.exception()  # the caller may be gone

    def lose(self) -> None:
        """Handle the loss of the connection: the parent ends, and all children with it."""
        if not self.alive:
            return
        self.closed.set_result(None)
        self.reaped = self.loop.run_in_executor(None, wait_for, self.process)
        self.loop.remove_reader(self.sock)
        self.loop.remove_writer(self.sock)
        self.sock.close()
        for _, fds in self.outbox:
            for fd in fds:
                os.close(fd)
        self.outbox.clear()
        gone = SpawnError("the process that forks programs has ended")
        if not self.ready.done():
            self.ready.set_exception(gone)
            self.ready.exception()
        for child in self.children.values():
            if child.begun.done():
                child.exit.set_result(lost(child.pid, child.started))
            else:
                child.begun.set_exception(gone)
                child.begun.exception()
        self.children.clear()
