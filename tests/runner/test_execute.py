"""Notebooks through papermill on kernels forked from a warm parent: each end is told as what it was."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nurseries import notebook, run
from nurseries import nursery as nursery

from labkit.runner.execute import Limits
from labkit.runner.kernels import Nursery


def test_a_notebook_that_ends_well_is_passed_and_keeps_its_outputs(tmp_path: Path, nursery: Nursery | None) -> None:
    source = notebook(tmp_path, "X = 1", "import os\nprint(os.environ['GREETING'], X, os.getcwd())")
    result = run(source, tmp_path / "out", nursery, X=5)
    assert (result.outcome, result.error) == ("passed", None)
    executed = nbformat.read(tmp_path / "out" / result.path, as_version=4)
    assert executed.cells[-1].outputs[0].text.split() == ["hello", "5", str(tmp_path)]
    assert [(c.index, c.status) for c in result.cells] == [(0, "completed"), (1, "completed")]


def test_a_check_that_says_no_is_failed_and_names_its_cell(tmp_path: Path, nursery: Nursery | None) -> None:
    source = notebook(tmp_path, "X = 1", "assert X == 2, 'X should be 2'", "print('never')")
    result = run(source, tmp_path / "out", nursery, X=3)
    assert result.outcome == "failed"
    assert result.error
    assert (result.error.cell, result.error.message) == (1, "X should be 2")
    assert [c.status for c in result.cells] == ["completed", "failed", "not-run"]


def test_an_exception_is_an_error(tmp_path: Path, nursery: Nursery | None) -> None:
    result = run(notebook(tmp_path, "X = 1", "1 / 0"), tmp_path / "out", nursery)
    assert result.outcome == "error"
    assert result.error
    assert result.error.name == "ZeroDivisionError"


def test_output_on_stderr_is_no_failure(tmp_path: Path, nursery: Nursery | None) -> None:
    result = run(
        notebook(tmp_path, "X = 1", "import sys; print('careful', file=sys.stderr)"), tmp_path / "out", nursery
    )
    assert result.passed


@pytest.mark.parametrize(("ending", "outcome"), [("os._exit(3)", "error"), ("os.kill(os.getpid(), 9)", "oom")])
def test_a_kernel_that_dies_is_told_by_how_it_died(
    tmp_path: Path, nursery: Nursery | None, ending: str, outcome: str
) -> None:
    result = run(notebook(tmp_path, "X = 1", f"import os; {ending}", "print('never')"), tmp_path / "out", nursery)
    assert result.outcome == outcome
    assert [c.status for c in result.cells] == ["completed", "failed", "not-run"]
    executed = nbformat.read(tmp_path / "out" / result.path, as_version=4)
    assert f"ended as `{outcome}`" in executed.cells[0].source


@pytest.mark.parametrize("limits", [Limits(1, 60), Limits(60, 3)], ids=["cell", "notebook"])
def test_a_notebook_over_its_time_is_ended(tmp_path: Path, nursery: Nursery | None, limits: Limits) -> None:
    result = run(notebook(tmp_path, "X = 1", "import time; time.sleep(50)"), tmp_path / "out", nursery, limits)
    assert result.outcome == "timeout"
    assert result.seconds < 15
