"""Whether processes live, for tests that must see them end."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable

import psutil


def is_alive(pid: int) -> bool:
    """A zombie is dead, and waits only for its parent."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def interruptible() -> None:
    """For `preexec_fn`: a Ctrl-C is heard. Where the tests run in a shell's background SIGINT is ignored by all below it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_until_gone(pids: Iterable[int], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while alive := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        time.sleep(0.01)
