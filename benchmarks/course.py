"""`make course` on a machine that is set up: how long, and how much memory at its peak."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.measure import Row, Samples
from benchmarks.memory import megabytes

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def once(engine: str = "embedded") -> tuple[float, float]:
    """(seconds, the cluster's start and end among them; peak megabytes of the whole process tree, sampled twice a second)."""
    with tempfile.TemporaryDirectory(prefix="labkit-bench-") as out:
        command = [sys.executable, "-m", "labkit.cli", "run", str(NOTEBOOKS), "--engine", engine, "--out", out]
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peak = 0.0
        while process.poll() is None:
            try:
                peak = max(peak, megabytes(*roots(process.pid)))
            except psutil.NoSuchProcess:
                continue
            time.sleep(0.5)  # a sampling interval
        taken = time.perf_counter() - begun
        assert process.returncode == 0, f"labkit run ended with {process.returncode}"
    return taken, peak


def roots(runner: int) -> list[int]:
    """The run's own tree, and those of the daemons of its clusters, which need not be in it."""
    daemons = [
        p.pid for p in psutil.process_iter(["cmdline"]) if "kubeproc.kubelet_process" in (p.info["cmdline"] or [])
    ]
    return [runner, *daemons]


def measure(runs: int) -> list[Row]:
    measured = [once() for _ in range(max(1, runs // 2))]
    taken = Samples([seconds for seconds, _ in measured], "s")
    peak = Samples([megabytes for _, megabytes in measured], "MB")
    return [
        Row("`make course`, set up already", taken, "under 90 s", taken.median < 90),
        Row("its peak memory", peak, "under 3000 MB", peak.median < 3000),
    ]
