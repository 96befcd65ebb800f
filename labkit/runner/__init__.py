"""Run notebooks headless, with papermill underneath, and report: `labkit run`.

A run has a cluster of its own, a warm parent that kernels are forked from, a namespace for each notebook, and as many
notebooks at once as there are jobs; notebooks that measure time (`"exclusive": true` in their metadata) run alone, last.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit import paths
from labkit.errors import LabError
from labkit.runner import provenance
from labkit.runner.notebooks import Source, check_parameters, find, typed
from labkit.runner.progress import Progress
from labkit.runner.report import CellError, Notebook, Report, by_outcome, summary

if TYPE_CHECKING:
    from labkit.runner.execute import Deadline
    from labkit.runner.kernels import Nursery
    from labkit.runner.session import Session


def run(
    given: Sequence[str | Path],
    *,
    out: str | Path,
    engine: str = "embedded",
    cluster_name: str | None = None,
    nodes: int | None = None,
    jobs: int = 0,
    parameters: dict[str, str] | None = None,
    timeout: float = 1800,
    cell_timeout: float = 600,
) -> Report:
    """Execute the notebooks of files and folders `given` and write `out`/{notebooks/, report.json, junit.xml,
    report.html}. A notebook's failure, be it that its file can't be read, is a result, not an error; LabError where a run
    can't begin. On SIGINT or SIGTERM the report is written, with what did not end as not-run, and KeyboardInterrupt
    raised."""
    sources = find(given)
    values = {name: typed(value) for name, value in (parameters or {}).items()}
    sound = [s for s in sources if not s.trouble]
    if sound == sources:  # else it may be the broken one's
        check_parameters(sources, values)
    folder = _folder(Path(out))
    started = time.monotonic()

    from labkit.runner.session import Session

    progress = Progress(sources)
    report = Report([], engine=engine, versions=provenance.versions(), parameters=values)
    report.hashes = provenance.hashes(s.path for s in sources)
    session = Session(engine, cluster_name, prewarm=any(s.prewarm for s in sound), nodes=nodes)
    work = _Work(session, folder, values, (cell_timeout, timeout), progress)
    work.unreadable([s for s in sources if s.trouble])
    try:
        with _terminable():
            if sound:
                _execute(session, work, sound, jobs)
    except LabError as error:
        if not session.own:
            raise
        work.infra(sound, error)
    except KeyboardInterrupt:
        work.stop()
    finally:
        progress.close()
    report.notebooks = work.results(sources)
    report.left_behind = session.left_behind
    report.seconds = round(time.monotonic() - started, 3)
    report.write(folder)

    from labkit.runner import page

    page.write(report, folder)
    count = f"{by_outcome(report.notebooks)} in {report.seconds:.1f} s"
    print(f"{report.table()}\n\n{count}; the report is {folder / 'report.html'}\n{summary(report.notebooks)}")
    if work.stopped.is_set():
        raise KeyboardInterrupt
    return report


def _execute(session: Session, work: _Work, sources: Sequence[Source], jobs: int) -> None:
    """Run them in the session, of which the cluster and the kernels' parent start at the same time."""
    with session, ThreadPoolExecutor(1) as helper:
        starting = helper.submit(session.up, [s.name for s in sources])
        with _nursery(work.folder, sources) as work.nursery:
            starting.result()
            work.all(sources, jobs or max(1, (os.cpu_count() or 2) // 2))
            session.end_leftovers("/")  # before the kernels' parent ends, and everything below it


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, with which CI systems end a job, is taken as Ctrl-C: a run cleans up after itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "notebooks").mkdir(exist_ok=True)
    except OSError as error:
        raise LabError(f"{out} can't be written: {error.strerror}", "name another folder with --out") from error
    return out.resolve()


@contextmanager
def _nursery(folder: Path, sources: Sequence[Source]) -> Iterator[Nursery | None]:
    """The warm parent of the run's kernels, where there are such; its imports go on while the cluster starts."""
    if paths.portable():
        yield None
        return
    from labkit.runner.kernels import Nursery

    nursery = Nursery(folder / "kernels.log", frozenset().union(*(s.imports for s in sources)))
    try:
        yield nursery
    finally:
        nursery.close()


class _Work:
    """The notebooks of one run and what they share."""

    def __init__(
        self,
        session: Session,
        folder: Path,
        values: dict[str, Any],
        limits: tuple[float, float],
        progress: Progress,
    ) -> None:
        self.session, self.folder, self.values, self.limits, self.progress = session, folder, values, limits, progress
        self.nursery: Nursery | None = None
        self.stopped = threading.Event()
        self.deadlines: set[Deadline] = set()
        self.done: dict[str, Notebook] = {}

    def all(self, sources: Sequence[Source], jobs: int) -> None:
        """Run every source: those that must run alone last. Ctrl-C ends those under way."""
        for group, width in (([s for s in sources if not s.exclusive], jobs), ([s for s in sources if s.exclusive], 1)):
            with ThreadPoolExecutor(width) as pool:
                futures = [pool.submit(self.one, source) for source in group]
                try:
                    for future in futures:
                        future.result()
                except KeyboardInterrupt:
                    self.stop()
                    raise

    def stop(self) -> None:
        self.stopped.set()
        for deadline in list(self.deadlines):
            deadline.end()

    def results(self, sources: Sequence[Source]) -> list[Notebook]:
        """Every source's result, in the order given."""
        return [self.done.get(s.name) or Notebook(s.name, "not-run", 0.0, sha256=s.sha256) for s in sources]

    def unreadable(self, sources: Sequence[Source]) -> None:
        """What could not be read is an error of that notebook, and no reason not to run the others."""
        for source in sources:
            told = CellError(-1, "UnreadableNotebook", source.trouble)
            self.done[source.name] = Notebook(source.name, "error", 0.0, error=told, sha256=source.sha256)
            self.progress.finished(self.done[source.name])

    def infra(self, sources: Sequence[Source], error: LabError) -> None:
        """The cluster could not be had: so it is told of each notebook."""
        for source in sources:
            told = CellError(-1, type(error).__name__, str(error))
            self.done.setdefault(source.name, Notebook(source.name, "infra", 0.0, error=told, sha256=source.sha256))

    def one(self, source: Source) -> None:
        from labkit.runner.execute import Limits, execute

        if self.stopped.is_set():
            return
        self.progress.started(source)
        start = time.monotonic()
        try:
            result = execute(
                source,
                self.folder,
                parameters=self.values,
                environment=self.session.environments[source.name],
                nursery=self.nursery,
                limits=Limits(*self.limits),
                on_cell=lambda: self.progress.cell(source),
                deadlines=self.deadlines,
            )
        except Exception as error:
            seconds = round(time.monotonic() - start, 3)
            told = CellError(-1, type(error).__name__, str(error))
            result = Notebook(source.name, "infra", seconds, error=told, sha256=source.sha256)
        if self.stopped.is_set() and not result.passed:
            result.outcome, result.error = "not-run", CellError(-1, "Interrupted", "the run was ended")
        self.done[source.name] = result
        self.progress.finished(result)
