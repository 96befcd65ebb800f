"""The lock that identifies a cluster's server or kubelet: an exclusive flock for its lifetime, with its pid inside.

A process that only checks for a holder takes the shared lock briefly. A failed exclusive lock is therefore not
conclusive: if a shared lock succeeds, only such checks are in progress, and `hold` retries.

A cluster that must not outlive another process (a run of notebooks) gets the name of a file in LIFELINE. That process
keeps the file locked, and the kernel releases the lock however the process ends, even by SIGKILL.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from kubeproc import embedder
from kubeproc.errors import HintedError

AGAIN, PATIENCE = 0.01, 10.0  # seconds between two attempts, and for all of them


def hold(path: Path, what: str) -> IO[str]:
    """The lock file, locked until it is closed; HintedError if another `what` (a server, a kubelet) holds the lock."""
    file = open(path, "r+", opener=lambda p, f: os.open(p, f | os.O_CREAT, 0o600))  # noqa: SIM115
    deadline = time.monotonic() + PATIENCE
    while not _try(file, fcntl.LOCK_EX):
        if not _try(file, fcntl.LOCK_SH) or time.monotonic() > deadline:
            file.close()
            now = embedder.current()
            hint = f"{now.status} shows it, {now.down} ends it"
            raise HintedError(f"a {what} for {path.parent.parent} is running already", hint)
        fcntl.flock(file, fcntl.LOCK_UN)
        time.sleep(AGAIN)
    mine = f"{os.getpid()}\n".encode()
    os.pwrite(file.fileno(), mine, 0)  # before truncating the old one: a reader never finds an empty file
    os.truncate(file.fileno(), len(mine))
    return file


def keep(path: Path, what: str) -> None:
    """Hold the lock until this process ends: only the kernel releases it, once no thread of the process runs."""
    with hold(path, what) as file:
        os.dup(file.fileno())


def _try(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
