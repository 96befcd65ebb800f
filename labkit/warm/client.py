"""The starter's side of a parent: `AsyncParent` for an event loop, `SyncParent` for everybody else.

Both start `python -m labkit.warm`, speak `wire` with it and learn of every child: started, failed, exited. When the
parent is lost its children are too: each gets an exit by SIGKILL with `lost` set, and its process group is killed, which
on Linux the kernel has done already.
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
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.paths import appended
from labkit.warm import wire

KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "2"
}  # read by TensorFlow once, at its import: its notes would stand in every child's log


class SpawnError(Exception):
    """A program could not be started; `errno` where the system gave one (else 0)."""

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


@dataclass(frozen=True)
class Exit:
    """How a program ended: code (128 + signal when killed), signal, times (seconds of the epoch), peak RSS in bytes."""

    code: int
    signal: int | None
    started: float
    finished: float
    maxrss: int = 0
    lost: bool = False  # its parent died: nobody saw the end


@dataclass(frozen=True)
class Spawn:
    """What to start. Three descriptors become 0, 1, 2; `python` runs argv[1:] in the forked interpreter itself;
    `enter` ("module:function", imported by the parent's child) is called with `spec` before the program runs, and
    `pid_namespace` is "new" or the pid of a process whose one the program shall be in (Linux)."""

    argv: Sequence[str]
    env: dict[str, str]
    cwd: str = "/"
    python: bool = False
    tty: bool = False
    enter: str = ""
    spec: dict[str, Any] = field(default_factory=dict)
    pid_namespace: str = ""

    def message(self, id: int, portable: bool) -> wire.Message:
        entries = {"argv": list(self.argv), "env": self.env, "cwd": self.cwd, "python": self.python, "tty": self.tty}
        setup = {"enter": self.enter, "spec": self.spec, "pid_namespace": self.pid_namespace}
        return {"op": "spawn", "id": id, "portable": portable, **setup, **entries}


def environment() -> dict[str, str]:
    """What a parent gets of its starter's environment: children may see it, so nothing secret."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


def start_process(
    preload: Sequence[str], portable: bool, namespaces: str, env: dict[str, str] | None, log: Path | None
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    argv = [sys.executable, "-m", "labkit.warm", "--socket", str(theirs.fileno()), "--preload", ",".join(preload)]
    if portable:
        argv.append("--portable")
    if namespaces:
        argv += ["--namespaces", namespaces]
        if threading.current_thread() is threading.main_thread():  # the kernel would follow the thread, not the process
            argv += ["--starter", str(os.getpid())]
    output = appended(log) if log else subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            argv,
            env=(environment() if env is None else env) | QUIET,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    finally:
        theirs.close()
        if output is not subprocess.DEVNULL:
            output.close()  # type: ignore[union-attr]
    return process, ours


def exit_of(message: wire.Message) -> Exit:
    unit = 1024 if sys.platform == "linux" else 1
    times = (message["started"], message["finished"])
    return Exit(message["code"], message["signal"], *times, maxrss=message["maxrss"] * unit)


def lost(pid: int, started: float) -> Exit:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    return Exit(128 + signal.SIGKILL, signal.SIGKILL, started, time.time(), lost=True)


def wait_for(process: subprocess.Popen[bytes]) -> None:
    """Reap a parent whose socket is closed: it ends by itself, unless somebody has stopped it."""
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class AsyncChild:
    """A program that was started; `pid` is the host's."""

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
        """Signal the program; nothing happens when it has ended."""
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
    ) -> AsyncParent:
        """Start a parent that imports `preload` (missing modules are skipped). Raises SpawnError when it dies."""
        parent = cls(*start_process(preload, portable, namespaces, env, log), portable)
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
        """Start a program on these three descriptors (the caller keeps its own copies). Raises SpawnError."""
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
        try:
            more = self.reader.read()
        except BlockingIOError:
            return
        for message, _ in self.reader.messages():
            self.take(message)
        if not more:
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
        child.begun.exception()  # whoever asked may be gone

    def lose(self) -> None:
        """The connection is gone: the parent ends, and so have all children."""
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


class SyncChild:
    """A program started by a `SyncParent`."""

    def __init__(self, parent: SyncParent, id: int) -> None:
        self.parent = parent
        self.id = id
        self.pid = 0
        self.started = 0.0
        self.error: SpawnError | None = None
        self.exit: Exit | None = None

    def poll(self) -> Exit | None:
        self.parent.pump(0)
        return self.exit

    def wait(self, timeout: float | None = None) -> Exit | None:
        """Wait for the end, at most `timeout` seconds; None when it still runs."""
        self.parent.pump_until(lambda: self.exit is not None, timeout)
        return self.exit

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.exit is None:
            self.parent.send({"op": "signal", "id": self.id, "signal": int(number)})


class SyncParent:
    """A parent without an event loop: reports are read when somebody asks. Use it from one thread at a time."""

    def __init__(self, preload: Sequence[str] = (), *, portable: bool = False, log: Path | None = None) -> None:
        self.portable = portable
        self.process, self.sock = start_process(preload, portable, "", None, log)
        self.reader = wire.Reader(self.sock)
        self.children: dict[int, SyncChild] = {}
        self.ids = itertools.count(1)
        self.loaded: dict[str, Any] | None = None
        self.alive = True
        self.pump_until(lambda: self.loaded is not None, None)
        if self.loaded is None:
            raise SpawnError("the process that forks programs has ended")

    def __enter__(self) -> SyncParent:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def spawn(self, spawn: Spawn, fds: Sequence[int]) -> SyncChild:
        child = SyncChild(self, next(self.ids))
        self.children[child.id] = child
        self.send(spawn.message(child.id, self.portable), fds)
        self.pump_until(lambda: bool(child.pid or child.error), None)
        if child.error or not child.pid:
            raise child.error or SpawnError("the process that forks programs has ended")
        return child

    def send(self, message: wire.Message, fds: Sequence[int] = ()) -> None:
        try:
            wire.send(self.sock, message, fds)
        except OSError:
            self.lose()

    def pump_until(self, done: Any, timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.alive and not done():
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                return
            self.pump(remaining)

    def pump(self, timeout: float | None) -> None:
        """Take what the parent has reported, waiting at most `timeout` seconds for the first word."""
        if not self.alive:
            return
        self.sock.settimeout(timeout)
        try:
            more = self.reader.read()
        except (BlockingIOError, TimeoutError):
            return
        finally:
            self.sock.settimeout(None)
        for message, _ in self.reader.messages():
            self.take(message)
        if not more:
            self.lose()

    def take(self, message: wire.Message) -> None:
        if message["event"] == "ready":
            self.loaded = message["loaded"]
            return
        child = self.children[message["id"]]
        if message["event"] == "started":
            child.pid, child.started = message["pid"], message["at"]
            return
        del self.children[child.id]
        if message["event"] == "exited":
            child.exit = exit_of(message)
        else:
            child.error = SpawnError(message["error"], message["errno"])
            child.exit = lost(child.pid, child.started) if child.pid else None

    def lose(self) -> None:
        if self.alive:
            self.alive = False
            self.sock.close()
            for child in self.children.values():
                if child.pid:
                    child.exit = lost(child.pid, child.started)
            self.children.clear()

    def stop(self) -> None:
        self.lose()
        wait_for(self.process)
