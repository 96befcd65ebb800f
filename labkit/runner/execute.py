"""One notebook, executed: saved as it goes, and its end as one of seven outcomes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from labkit.runner import cold
from labkit.runner.book import KERNEL, Book
from labkit.runner.cell_loop import Client
from labkit.runner.kernels import Nursery, manager_class
from labkit.runner.notebooks import Source
from labkit.runner.report import CellError, Notebook

CHECKS = ("AssertionError", "CheckFailed")  # the exceptions that say "the answer is wrong", not "the cell is broken"
JOURNAL = "kernels.log"  # in a report's folder
LEAVES = ("", "0", "None")  # what a SystemExit says that is no complaint


@dataclass(frozen=True)
class Limits:
    """Seconds for a cell and for a whole notebook."""

    cell: float
    notebook: float


class Deadline:
    """Ends a notebook's kernel when its time is over; `passed` says that it did."""

    def __init__(self, seconds: float) -> None:
        self.passed = self.over = False
        self.kernels: list[Any] = []
        self.timer = threading.Timer(seconds, self._end)
        self.timer.daemon = True

    def _end(self) -> None:
        self.passed = True
        self.end()

    def end(self) -> None:
        """Kill the notebook's kernel now, or as soon as it has started."""
        self.over = True
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
    result = Notebook(source.name, "error", 0.0, sha256=source.sha256)
    start = time.monotonic()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        wanted = {k: v for k, v in parameters.items() if k in source.parameters}
        book = Book(source, out, wanted, on_cell)
        with Deadline(limits.notebook) as deadline, _listed(deadline, deadlines):
            _run(book, result, deadline, limits, nursery, environment, folder / JOURNAL)
    except Exception as error:  # nothing that a notebook is or does ends more than that notebook
        result.outcome, result.error = "error", CellError(-1, type(error).__name__, str(error))
    result.path = str(out.relative_to(folder)) if out.exists() else ""
    result.seconds = round(time.monotonic() - start, 3)
    return result


def _run(
    book: Book,
    result: Notebook,
    deadline: Deadline,
    limits: Limits,
    nursery: Nursery | None,
    environment: dict[str, str],
    journal: Path,
) -> None:
    """Execute the book's cells, and fill in the result."""
    folder = Path(book.nb.metadata.papermill.input_path).parent
    if nursery and (why := cold.reason(book.code(), folder)):
        nursery = None
        result.notes.append(f"its kernel starts cold: {why}")
    exit_status: list[int] = []
    kernels = _watched(manager_class(nursery, folder, environment, journal), deadline, exit_status)
    client = Client(book, limits.cell, kernel_name=KERNEL, kernel_manager_class=kernels)
    trouble: Exception | None = None
    book.notebook_start()
    try:
        client.execute()
    except Exception as error:
        trouble = error
    finally:
        book.notebook_complete()
    late = deadline.passed or isinstance(trouble, CellTimeoutError)
    result.outcome, result.error = verdict(book, client, trouble, late, exit_status, limits)
    result.cells = book.records()
    result.notes += [f"{e.where}: {e.name}, which its tag allows" for e in book.allowed]
    if result.error:
        book.mark(result.outcome, result.error)


def verdict(
    book: Book, client: Client, trouble: Exception | None, late: bool, exit_status: list[int], limits: Limits
) -> tuple[str, CellError | None]:
    """The outcome (report.OUTCOMES), and the cell that it is due to, by what the book has recorded.

    `infra` is only a kernel that has not started: all else is what the notebook did. A kernel that SIGKILL ended, not by
    us, was out of memory.
    """
    error = book.failure
    if trouble is None or isinstance(trouble, CellExecutionError):
        if error:
            return _of_exception(book, error)
        return _of_records(book, client)
    name = type(trouble).__name__
    if error and error.name != name:  # an earlier cell's, after which the notebook went on
        return _of_exception(book, error)
    error = error or CellError(-1, name, str(trouble) or name)
    if late:
        error.message = f"over its time: {limits.cell:g} s for a cell, {limits.notebook:g} s for the notebook"
        return "timeout", error
    if not client.ready:
        error.message += f"; {JOURNAL} may say more"
        return "infra", error
    if isinstance(trouble, DeadKernelError) and exit_status:
        error.message = _death(exit_status[0])
        return "oom" if exit_status[0] == -signal.SIGKILL else "error", error
    return "error", error


def _death(status: int) -> str:
    if status == -signal.SIGKILL:
        return "the kernel was killed (SIGKILL): most likely it was out of memory"
    if status < 0:
        return f"the kernel was ended by {signal.Signals(-status).name}"
    return f"the kernel ended with exit code {status}"


def _of_exception(book: Book, error: CellError) -> tuple[str, CellError]:
    """A cell has raised an exception. SystemExit without a complaint only means that the notebook ends there."""
    if error.name == "SystemExit" and error.message in LEAVES:
        error.message = f"the cell did not run to its end{_unrun(book)}"
        return "failed", error
    return "failed" if error.name in CHECKS else "error", error


def _of_records(book: Book, client: Client) -> tuple[str, CellError | None]:
    """No cell has raised anything: the notebook has passed if each has run."""
    pending = book.pending()
    if not pending:
        return "passed", None
    if client.left is not None:
        return "failed", book.blame(client.left, "KernelExit", f"the cell ended the kernel{_unrun(book)}")
    first = pending[0]
    first.name, first.message = "NotRun", f"its tag {client.skip_cells_with_tag} leaves it out"
    if len(pending) > 1:
        first.message += f"; it also leaves out {', '.join(p.where for p in pending[1:])}"
    return "failed", first


def _unrun(book: Book) -> str:
    pending = book.pending()
    return f"; never ran: {', '.join(p.where for p in pending)}" if pending else ""


@contextmanager
def _listed(deadline: Deadline, deadlines: set[Deadline] | None) -> Iterator[None]:
    if deadlines is not None:
        deadlines.add(deadline)
    try:
        yield
    finally:
        if deadlines is not None:
            deadlines.discard(deadline)


def _watched(kind: Any, deadline: Deadline, exit_status: list[int]) -> Any:
    """The kernel manager class, made to tell the deadline of its instance, and how its process ended."""

    def start(self: Any, **kwargs: Any) -> Any:
        deadline.kernels.append(self)
        return kind._async_pre_start_kernel(self, **kwargs)

    async def post_start(self: Any, **kwargs: Any) -> None:
        await kind._async_post_start_kernel(self, **kwargs)
        if deadline.over:  # it came between the kernel's request and its process
            deadline.end()

    async def is_alive(self: Any) -> bool:
        process = getattr(self.provisioner, "process", None)
        status = process.poll() if process else None
        if status is not None:
            exit_status.append(status)
        return bool(process) and status is None

    methods = {"_async_pre_start_kernel": start, "_async_post_start_kernel": post_start}
    return type(kind.__name__, (kind,), methods | {"is_alive": is_alive, "_async_is_alive": is_alive})
