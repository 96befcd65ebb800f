"""What a starter and its parent exchange, with or without an event loop.

A starter runs `python -m kubeproc.warm` with one end of a socket pair, sends a `Spawn` for each program, and receives its end
as an `Exit`. The loss of the parent ends its children: each gets an exit by SIGKILL with `lost` set, and its process group is
killed, which on Linux the kernel has already done.
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

from kubeproc.folder import appended
from kubeproc.warm import wire

KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "2"
}  # TensorFlow reads it once, at its import; otherwise every child's log contains its notes


class SpawnError(Exception):
    """A program could not be started; `errno` is that of the system, or 0."""

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
    lost: bool = False  # its parent died, so the end was not observed


@dataclass(frozen=True)
class Spawn:
    """A program to start. Three descriptors become 0, 1, 2, a fourth one is the network namespace to enter first;
    `python` runs argv[1:] in the forked interpreter itself;
    `enter` ("module:function", imported by the parent's child) is called with `spec` before the program runs, and
    `pid_namespace` is "new" or the pid of a process whose pid namespace the program joins (Linux)."""

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
    """The variables that a parent gets from its starter: nothing secret, since children may see them."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


def start_process(
    preload: Sequence[str],
    portable: bool,
    namespaces: str,
    env: dict[str, str] | None,
    log: Path | None,
    users: int | None = None,
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    argv = [sys.executable, "-m", "kubeproc.warm", "--socket", str(theirs.fileno()), "--preload", ",".join(preload)]
    if portable:
        argv.append("--portable")
    if namespaces:
        argv += ["--namespaces", namespaces]
        if (
            threading.current_thread() is threading.main_thread()
        ):  # in another thread, the parent would die with the thread
            argv += ["--starter", str(os.getpid())]
    if users is not None:
        argv += ["--users", str(users)]
    output = appended(log) if log else subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            argv,
            env=QUIET | (environment() if env is None else env),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[theirs.fileno(), *([] if users is None else [users])],
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
    """Reap a parent whose socket is closed. It ends by itself, unless it is stopped (SIGSTOP)."""
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
