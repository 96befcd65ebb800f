"""How much memory a container uses: the proportional share (PSS) of its processes.

PSS divides what is shared (a warm parent's TensorFlow, the libraries) among who shares it. Reading it walks the page
tables, 5 to 18 ms for a TensorFlow process, so the cheap RSS comes first, which is never less; elsewhere than on Linux
psutil's RSS is all there is.
"""

from __future__ import annotations

import contextlib

import psutil

from labkit.embedded.runtime.launch import Process


def mechanism(portable: bool) -> str:
    return "sampled RSS" if portable else "sampled PSS"


def usage(process: Process, limit: int = 0, portable: bool = False) -> int:
    """Bytes in use by a container: exact enough to compare with `limit`. Below the limit the answer may be an upper
    bound (RSS), above it is PSS."""
    members = tree(process)
    resident = sum(measure(member, "rss") for member in members)
    if portable or resident <= limit:
        return resident
    return sum(measure(member, "pss") for member in members)


def tree(process: Process) -> list[psutil.Process]:
    """The program, what it started, and what was exec'ed into its container."""
    found: dict[int, psutil.Process] = {}
    for pid in (process.pid, *(inside.pid for inside in process.inside)):
        with contextlib.suppress(psutil.Error):
            top = psutil.Process(pid)
            found |= {member.pid: member for member in (top, *top.children(recursive=True))}
    return list(found.values())


def measure(member: psutil.Process, kind: str) -> int:
    with contextlib.suppress(psutil.Error, OSError):
        if kind == "rss":
            return member.memory_info().rss
        with open(f"/proc/{member.pid}/smaps_rollup") as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    return 0
