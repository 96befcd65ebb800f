"""The lock that says which process is a cluster's server or kubelet: an exclusive flock for its life, its pid inside.

Who only asks who is alive takes the lock shared, for a moment, so that a refusal of the exclusive one says nothing yet:
where a shared one is still to be had, only askers are there, and it is tried again.

A cluster that must not outlive somebody (a run of notebooks) finds the file that he keeps locked in LIFELINE: the kernel
frees it however he ends, so that no SIGKILL makes the cluster an orphan.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from labkit.errors import LabError

LIFELINE = "LABKIT_LIFELINE"  # read by the kubelet when it starts
AGAIN, PATIENCE = 0.01, 10.0  # seconds between two attempts, and for all of them


def hold(path: Path, what: str) -> IO[str]:
    """The lock's file, locked until it is closed; LabError where another `what` (a server, a kubelet) holds it."""
    file = open(path, "r+", opener=lambda p, f: os.open(p, f | os.O_CREAT, 0o600))  # noqa: SIM115
    deadline = time.monotonic() + PATIENCE
    while not _try(file, fcntl.LOCK_EX):
        if not _try(file, fcntl.LOCK_SH) or time.monotonic() > deadline:
            file.close()
            raise LabError(f"a {what} for {path.parent.parent} is running already", "labkit status")
        fcntl.flock(file, fcntl.LOCK_UN)
        time.sleep(AGAIN)
    mine = f"{os.getpid()}\n".encode()
    os.pwrite(file.fileno(), mine, 0)  # before the old one is cut off: who reads shall never find nothing
    os.truncate(file.fileno(), len(mine))
    return file


def keep(path: Path, what: str) -> None:
    """Hold the lock until this process is no more: only the kernel lets go of it, when nothing of the process runs."""
    with hold(path, what) as file:
        os.dup(file.fileno())


def _try(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
