"""What a starter and its parent have to say to each other, whichever way the starter waits.

A starter runs `python -m labkit.warm` with one end of a socket pair, sends a `Spawn` for each program, and learns of its
end as an `Exit`. When the parent is lost its children are too: each gets an exit by SIGKILL with `lost` set, and its
process group is killed, which on Linux the kernel has done already.
"""

from __future__ import annotations

import contextlib
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
