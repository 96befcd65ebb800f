"""`cluster.json`: the record of a cluster of any engine, readable while nothing of the cluster runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kubeproc import info
from labkit.engines.hint_words import LABKIT
from labkit.errors import expected
from labkit.paths import ClusterFolder

ANOTHER = f"{LABKIT.another} makes another cluster beside it; {LABKIT.purge} deletes this one and everything in it"


def read(folder: ClusterFolder) -> dict[str, Any]:
    """What `cluster.json` says, empty where there is no cluster; LabError for a damaged one."""
    with expected():
        return info.read(folder)


def write(folder: ClusterFolder, content: dict[str, Any]) -> None:
    info.write(folder, content)


def delete(root: Path) -> None:
    """Delete a cluster's folder with all that is in it."""
    info.delete(root)
