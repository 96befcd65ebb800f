"""The starter's side of a parent without an event loop: reports are read when the caller asks for them."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kubeproc.warm import wire
from kubeproc.warm.spawn import Exit, Spawn, SpawnError, exit_of, lost, start_process, wait_for


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
        """Wait for the end, at most `timeout` seconds; None if the program still runs."""
        self.parent.pump_until(lambda: self.exit is not None, timeout)
        return self.exit

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.exit is None:
            self.parent.send({"op": "signal", "id": self.id, "signal": int(number)})


class SyncParent:
    """A parent without an event loop. Use it from one thread at a time."""

    def __init__(
        self,
        preload: Sequence[str] = (),
        *,
        portable: bool = False,
        env: dict[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self.portable = portable
        self.process, self.sock = start_process(preload, portable, "", env, log)
        self.reader = wire.Reader(self.sock)
        self.children: dict[int, SyncChild] = {}
        self.ids = itertools.count(1)
        self.loaded: dict[str, Any] | None = None
        self.alive = True
        try:
            self.pump_until(lambda: self.loaded is not None, None)
        except BaseException:  # Ctrl-C: a parent that imports does not see its socket close
            self.process.kill()
            self.stop()
            raise
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
        """Handle the parent's reports; wait at most `timeout` seconds for the first one."""
        if not self.alive:
            return
        self.sock.settimeout(timeout)
        try:
            if not self.reader.deliver(self.take):
                self.lose()
        except (BlockingIOError, TimeoutError):
            pass
        except ConnectionError:
            self.lose()
        if self.alive:  # otherwise the socket is closed
            self.sock.settimeout(None)

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
