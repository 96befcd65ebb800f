"""The embedded cluster (`kubeproc`) as an engine of labkit: its hints name labkit's commands, its failures are LabErrors."""

from __future__ import annotations

from typing import Any

from kubeproc import engine
from labkit import paths
from labkit.engines import hint_words  # noqa: F401 - hints name labkit's commands from now on
from labkit.errors import expected
from labkit.paths import ClusterFolder


def up(
    folder: ClusterFolder,
    port: int | None = None,
    nodes: int | None = None,
    node_cpus: int | None = None,
    node_memory: str | None = None,
    network: str | None = None,
    outside: bool = True,
) -> dict[str, Any]:
    """Start the cluster, or what is missing of it: see `kubeproc.engine.up`."""
    with expected():
        return engine.up(folder, port, nodes, node_cpus, node_memory, paths.portable(), network, outside)


def down(folder: ClusterFolder, purge: bool = False) -> bool:
    """Stop the cluster and all its pods; `purge` also deletes its state. False when there was nothing to stop."""
    with expected():
        return engine.down(folder, purge)


def status(folder: ClusterFolder) -> dict[str, Any]:
    """What runs: see `kubeproc.engine.status`."""
    with expected():
        return engine.status(folder) | {"engine": "embedded"}


def power(folder: ClusterFolder, node: str, on: bool) -> None:
    """Turn a node off, or on again."""
    with expected():
        engine.power(folder, node, on)


def last_words(folder: ClusterFolder, lines: int = 12) -> str:
    """The last lines of the logs of the server and the kubelet."""
    return engine.last_words(folder, lines)
