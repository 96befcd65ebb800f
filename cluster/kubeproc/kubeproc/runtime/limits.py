"""How much memory a container uses: the proportional share (PSS) of its processes.

PSS divides shared memory (a warm parent's TensorFlow, the libraries) among the processes that share it. Reading it
walks the page tables, 5 to 18 ms for a TensorFlow process, so the cheap RSS, which is never less, is checked first. On
systems other than Linux only psutil's RSS is available.
"""

from __future__ import annotations

import contextlib
import glob
from pathlib import Path

import psutil

from kubeproc.runtime.launch import Process


def mechanism(portable: bool) -> str:
    return "sampled RSS" if portable else "sampled PSS"


def usage(process: Process, limit: int = 0, portable: bool = False) -> int:
    """Bytes in use by a container: exact enough to compare with `limit`. Below the limit the result may be an upper
    bound (RSS), above it is PSS."""
    members = tree(process)
    resident = sum(measure(member, "rss") for member in members)
    if portable or resident <= limit:
        return resident
    return sum(measure(member, "pss") for member in members)


def tree(process: Process) -> set[int]:
    """Pids of the program, of its descendants, and of processes exec'ed into its container."""
    found: set[int] = set()
    todo = [one.pid for one in (process, *process.inside) if one.running]
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo += children(pid)
    return found


def children(pid: int) -> list[int]:
    """The children of a process, from the kernel's own list if it has one: psutil scans all processes."""
    lists = glob.glob(f"/proc/{pid}/task/*/children")
    with contextlib.suppress(psutil.Error, OSError):
        if not lists:
            return [child.pid for child in psutil.Process(pid).children()]
        return [int(word) for path in lists for word in Path(path).read_text().split()]
    return []


def measure(pid: int, kind: str) -> int:
    with contextlib.suppress(psutil.Error, OSError):
        if kind == "rss":
            return psutil.Process(pid).memory_info().rss
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    return 0
