"""Notebooks on forked kernels beside the same notebooks by papermill alone."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from benchmarks.clusters import seconds
from benchmarks.measure import Row, Samples, in_turn
from labkit.runner.execute import Limits, execute
from labkit.runner.kernels import Nursery
from labkit.runner.notebooks import read

CASES = {
    "a notebook that does nothing": ("pass", 0.7),
    "a notebook that imports TensorFlow": ("import tensorflow", 1.0),
}


def measure(runs: int) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="labkit-bench-") as name:
        folder = Path(name)
        nursery = Nursery(folder / "log")
        for what, (cell, limit) in CASES.items():
            path = folder / "book.ipynb"
            kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
            nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)], metadata=kernel), path)
            source = read(path)

            def ours(source=source) -> float:  # type: ignore[no-untyped-def]
                result = execute(
                    source, folder / "out", parameters={}, environment={}, nursery=nursery, limits=Limits(60, 60)
                )
                assert result.passed, result.error
                return result.seconds

            def papermill(path=path) -> float:  # type: ignore[no-untyped-def]
                command = [sys.executable, "-m", "papermill", "--no-progress-bar", str(path), str(folder / "by.ipynb")]
                return seconds(lambda: subprocess.run(command, check=True, capture_output=True))

            ours()
            mine, theirs, ratios = in_turn(ours, papermill, runs)
            samples = Samples(mine, "s")
            rows.append(
                Row(
                    what,
                    samples,
                    f"under {limit} s",
                    samples.median < limit,
                    "papermill",
                    Samples(theirs, "s"),
                    ratios=ratios,
                )
            )
        nursery.close()
    return rows
