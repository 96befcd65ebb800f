"""What an idle cluster holds (PSS, so that shared pages count once), without and with the warm TensorFlow parent."""

from __future__ import annotations

from typing import Any

import psutil

from benchmarks.clusters import running
from benchmarks.measure import Row, Samples


def megabytes(*roots: int) -> float:
    """PSS (USS where there is no PSS) of processes and all below them, each counted once."""
    family: set[psutil.Process] = set()
    for root in map(psutil.Process, roots):
        family |= {root, *root.children(recursive=True)}
    total = 0
    for process in family:
        try:
            with_shares: Any = process.memory_full_info()
        except psutil.NoSuchProcess:
            continue  # it has ended meanwhile
        total += getattr(with_shares, "pss", with_shares.uss)
    return total / 1e6


def measure(runs: int) -> list[Row]:
    from benchmarks.tfjob import warm_up

    with running() as cluster:
        kubelet = cluster.status["daemons"]["kubelet"]
        cold = Samples([megabytes(kubelet) for _ in range(3)], "MB")
        warm_up(cluster)
        warm = Samples([megabytes(kubelet) for _ in range(3)], "MB")
    return [
        Row("idle memory without the warm parent", cold, "under 150 MB", cold.median < 150),
        Row("idle memory with the warm parent", warm, "under 600 MB", warm.median < 600),
    ]
