"""The simulated machines of a cluster: their names, their size, and whether they are switched on.

`cluster.json` records their number and size. The switch of a machine is a file, `off/NAME` in the cluster's folder:
while it exists the machine is off. The kubelet's daemon stops or starts the machine accordingly, and the server's node
controller trusts it over anything that a kubelet reports. The switch survives a crash of either process.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from kubeproc.folder import ClusterFolder

FIRST = "labkit"


@dataclass(frozen=True)
class Machine:
    """One node; `cpus` and `memory` (a quantity) are the host's if they are None."""

    name: str
    cpus: int | None = None
    memory: str | None = None


def names(count: int) -> list[str]:
    return [FIRST, *(f"{FIRST}-{number}" for number in range(2, count + 1))]


def of(folder: ClusterFolder) -> list[Machine]:
    """The cluster's machines from `cluster.json`; one machine if there is no such file."""
    try:
        info = json.loads(folder.info.read_text())
    except (FileNotFoundError, ValueError):
        info = {}
    size = {"cpus": info.get("node_cpus"), "memory": info.get("node_memory")}
    return [Machine(name, **size) for name in names(info.get("nodes") or 1)]


def is_off(folder: ClusterFolder, name: str) -> bool:
    return (folder.root / "off" / name).exists()


def switch(folder: ClusterFolder, name: str, on: bool) -> None:
    """Set the switch; the daemons read it by themselves."""
    file = folder.root / "off" / name
    if on:
        file.unlink(missing_ok=True)
    else:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.touch()
