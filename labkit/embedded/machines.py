"""The machines that a cluster stands for: their names, their size, and whether their power is on.

`cluster.json` remembers how many there are and how large. The switch of a machine is a file, `off/NAME` in the cluster's
folder: while it is there the machine is off. The kubelet's daemon ends or starts the machine by it, the server's node
controller believes it before anything that a kubelet has said; a crash of either changes nothing about it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from labkit.paths import ClusterFolder

FIRST = "labkit"


@dataclass(frozen=True)
class Machine:
    """One node; `cpus` and `memory` (a quantity) are the host's where they are None."""

    name: str
    cpus: int | None = None
    memory: str | None = None


def names(count: int) -> list[str]:
    return [FIRST, *(f"{FIRST}-{number}" for number in range(2, count + 1))]


def of(folder: ClusterFolder) -> list[Machine]:
    """The cluster's machines, as `cluster.json` has them; one where there is none."""
    try:
        info = json.loads(folder.info.read_text())
    except (FileNotFoundError, ValueError):
        info = {}
    size = {"cpus": info.get("node_cpus"), "memory": info.get("node_memory")}
    return [Machine(name, **size) for name in names(info.get("nodes") or 1)]


def is_off(folder: ClusterFolder, name: str) -> bool:
    return (folder.root / "off" / name).exists()


def switch(folder: ClusterFolder, name: str, on: bool) -> None:
    """Set the switch; who acts by it has to look."""
    file = folder.root / "off" / name
    if on:
        file.unlink(missing_ok=True)
    else:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.touch()
