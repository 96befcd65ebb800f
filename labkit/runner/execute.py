"""One notebook through papermill: executed, saved as it goes, and its end told as one of seven outcomes."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import write_ipynb

from labkit.runner.kernels import Nursery, manager_class
from labkit.runner.notebooks import Source
from labkit.runner.report import Cell, CellError, Notebook
from labkit.runner.swift import nbformat

CHECKS = ("AssertionError", "CheckFailed")  # the exceptions that say "the answer is wrong", not "the cell is broken"


ADDED = {"injected-parameters", "papermill-error-cell-tag"}  # cells that are papermill's, not the notebook's


@dataclass(frozen=True)
class Limits:
    """Seconds for a cell and for a whole notebook."""

    cell: float
    notebook: float


class Manager(NotebookExecutionManager):
    """Papermill's bookkeeping, but a cell that never ran, or whose kernel died, is not called completed; and each cell's
    end is told on."""

    on_cell: Callable[[], None] = staticmethod(lambda: None)

    def cell_complete(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        if sys.exc_info()[1] is not None:  # papermill calls this in a `finally`
            cell.metadata.papermill["status"] = self.FAILED
        super().cell_complete(cell, cell_index, **kwargs)
        if cell.cell_type == "code":
            self.on_cell()

    def notebook_complete(self, **kwargs: Any) -> None:
        never_ran = [c for c in self.nb.cells if c.metadata.papermill["status"] == self.PENDING]
        super().notebook_complete(**kwargs)
        for cell in never_ran:
            cell.metadata.papermill["status"] = self.PENDING
        self.save()


class CourseEngine(NBClientEngine):
    """Papermill's own engine with `Manager`; registered as `labkit`."""

    @classmethod
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str,
        output_path: str | None = None,
        on_cell: Callable[[], None] = lambda: None,
        **kwargs: Any,
    ) -> Any:
        for unused in ("progress_bar", "autosave_cell_every"):
            kwargs.pop(unused, None)
        manager = Manager(nb, output_path=output_path, progress_bar=False, autosave_cell_every=0)
        manager.on_cell = on_cell  # type: ignore[method-assign]
        manager.notebook_start()
        try:
            cls.execute_managed_notebook(manager, kernel_name, **kwargs)
        finally:
            manager.notebook_complete()
        return manager.nb


papermill_engines.register("labkit", CourseEngine)


class Deadline:
    """Ends a notebook's kernel when its time is over; `passed` says that it did."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self.kernels: list[Any] = []
        self.timer = threading.Timer(seconds, self._end)
        self.timer.daemon = True

    def _end(self) -> None:
        self.passed = True
        self.end()

    def end(self) -> None:
        """Kill the notebook's kernel now."""
        for kernel in self.kernels:
            process = getattr(kernel.provisioner, "process", None)
            if process:
                process.kill()

    def __enter__(self) -> Deadline:
        self.timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.timer.cancel()


def execute(
    source: Source,
    folder: Path,
    *,
    parameters: dict[str, Any],
    environment: dict[str, str],
    nursery: Nursery | None,
    limits: Limits,
    on_cell: Callable[[], None] = lambda: None,
    deadlines: set[Deadline] | None = None,
) -> Notebook:
    """Run one notebook and write it to `folder`/notebooks/NAME.ipynb; whatever goes wrong is the result's outcome.

    The kernel works in the notebook's own folder with `environment` on top of this process's. Parameters that the
    notebook does not declare are left out. While it runs its deadline is in `deadlines`: ending that ends the notebook.
    """
    out = folder / "notebooks" / f"{source.name}.ipynb"
    out.parent.mkdir(parents=True, exist_ok=True)
    wanted = {k: v for k, v in parameters.items() if k in source.parameters}
    start = time.monotonic()
    trouble: BaseException | None = None
    exit_status: list[int | None] = []
    with Deadline(limits.notebook) as deadline, _listed(deadline, deadlines):
        kind = manager_class(nursery, source.path.parent, environment)
        watched = _watched(kind, deadline, exit_status)
        try:
            papermill.execute_notebook(
                str(source.path),
                str(out),
                parameters=wanted,
                engine_name="labkit",
                kernel_name="python3",
                language="python",
                kernel_manager_class=watched,
                execution_timeout=limits.cell,
                on_cell=on_cell,
            )
        except Exception as error:
            trouble = error
    result = Notebook(
        name=source.name,
        outcome=outcome(trouble, deadline.passed, exit_status),
        seconds=round(time.monotonic() - start, 3),
        sha256=source.sha256,
        path=str(out.relative_to(folder)),
    )
    result.cells = cells(out)
    if trouble is not None:
        result.error = explain(trouble, result, limits)
        _locate(result.error, out)
        if not isinstance(trouble, PapermillExecutionError):
            _leave_trace(out, result)
    return result


@contextmanager
def _listed(deadline: Deadline, deadlines: set[Deadline] | None) -> Iterator[None]:
    if deadlines is not None:
        deadlines.add(deadline)
    try:
        yield
    finally:
        if deadlines is not None:
            deadlines.discard(deadline)


def _watched(kind: Any, deadline: Deadline, exit_status: list[int | None]) -> Any:
    """The kernel manager class, made to tell the deadline of its instance, and how its process ended."""

    def start(self: Any, **kwargs: Any) -> Any:
        deadline.kernels.append(self)
        return kind._async_pre_start_kernel(self, **kwargs)

    async def is_alive(self: Any) -> bool:
        process = getattr(self.provisioner, "process", None)
        status = process.poll() if process else None
        if status is not None:
            exit_status.append(status)
        return bool(process) and status is None

    return type(
        kind.__name__, (kind,), {"_async_pre_start_kernel": start, "is_alive": is_alive, "_async_is_alive": is_alive}
    )


def outcome(trouble: BaseException | None, late: bool, exit_status: list[int | None]) -> str:
    """One of report.OUTCOMES for how papermill ended. A kernel ended by SIGKILL, not by us, was out of memory."""
    if trouble is None:
        return "passed"
    if late or isinstance(trouble, CellTimeoutError):
        return "timeout"
    if isinstance(trouble, PapermillExecutionError):
        return "failed" if trouble.ename in CHECKS else "error"
    if isinstance(trouble, DeadKernelError):
        return "oom" if -9 in exit_status else "error"
    return "infra"


def explain(trouble: BaseException, result: Notebook, limits: Limits) -> CellError:
    """Which cell ended the notebook, and in what words."""
    failed = next((c.index for c in result.cells if c.status in ("failed", "running")), -1)
    if isinstance(trouble, PapermillExecutionError):
        return CellError(failed, trouble.ename, trouble.evalue)
    said = {
        "timeout": f"over its time: {limits.cell:g} s for a cell, {limits.notebook:g} s for the notebook",
        "oom": "the kernel was killed (SIGKILL): out of memory",
    }.get(result.outcome, str(trouble) or type(trouble).__name__)
    return CellError(failed, type(trouble).__name__, said)


def numbered(path: Path) -> list[tuple[int, Any]]:
    """The executed notebook's cells with their numbers in the source: those that papermill added are left out."""
    if not path.exists():
        return []
    own = [c for c in nbformat.read(path, as_version=4).cells if ADDED.isdisjoint(c.metadata.get("tags", []))]
    return list(enumerate(own))


def _locate(error: CellError, path: Path) -> None:
    """Note the failed cell's id and source, by which a person finds it: JupyterLab shows no cell's number."""
    for index, cell in numbered(path):
        if index == error.cell:
            error.id, error.source = cell.get("id", ""), cell.source


def cells(path: Path) -> list[Cell]:
    """What the executed notebook says of its code cells, numbered as in the source."""
    found = []
    for index, cell in numbered(path):
        if cell.cell_type != "code":
            continue
        told = cell.metadata.get("papermill", {})
        status = {"pending": "not-run"}.get(told.get("status", "pending"), told.get("status", "pending"))
        course = cell.metadata.get("course", [])
        found.append(Cell(index, status, told.get("duration"), [course] if isinstance(course, str) else list(course)))
    return found


def _leave_trace(path: Path, result: Notebook) -> None:
    """Where the kernel died or time ran out papermill writes no error into the notebook: write it there."""
    if not path.exists():
        return
    notebook = nbformat.read(path, as_version=4)
    error = result.error
    assert error is not None
    text = f"**This notebook ended as `{result.outcome}`**: {error.name}: {error.message}"
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(text, metadata={"tags": ["papermill-error-cell-tag"]}))
    write_ipynb(notebook, str(path))
