"""Run notebooks headless, with papermill underneath, and report: `labkit run`.

A run has a cluster of its own, a warm parent that kernels are forked from, a namespace for each notebook, and as many
notebooks at once as there are jobs; notebooks that measure time (`"exclusive": true` in their metadata) run alone, last.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit import output, paths
from labkit.errors import LabError
from labkit.runner import limits, provenance
from labkit.runner import report_folder as places
from labkit.runner.notebooks import Source
from labkit.runner.parameters import check as check_parameters
from labkit.runner.progress import Progress
from labkit.runner.report import Notebook, Report
from labkit.runner.selection import find
from labkit.runner.work import Work

if TYPE_CHECKING:
    from labkit.runner.kernels import Nursery
    from labkit.runner.session import Session


def run(
    given: Sequence[str | Path],
    *,
    out: str | Path,
    engine: str | None = None,
    cluster_name: str | None = None,
    nodes: int | None = None,
    jobs: int | None = None,
    parameters: Mapping[str, Any] | None = None,
    timeout: float = 1800,
    cell_timeout: float = 600,
    force: bool = False,
) -> Report:
    """Execute the notebooks of files and folders `given` and write `out`/{notebooks/, report.json, junit.xml,
    report.html}. A notebook's failure, be it that its file can't be read, is a result, not an
    error; LabError where a run can't begin. On SIGINT or SIGTERM the report is written, with what did not end as not-run,
    and KeyboardInterrupt raised."""
    limits.check(timeout=timeout, cell_timeout=cell_timeout, jobs=jobs)
    values = dict(parameters or {})
    sources = _parameterized(find(given), values)

    from labkit.runner.session import Session

    session = Session(engine, cluster_name, prewarm=any(s.prewarm for s in sources), nodes=nodes)
    with places.claimed(out, [s.path for s in sources], [s.name for s in sources], force) as folder:
        report = Report([], engine=session.engine, versions=provenance.versions(), parameters=values)
        report.hashes = provenance.hashes(s.path for s in sources)
        _begin(report, sources, folder)
        interrupted = _fill(report, sources, folder, session, jobs, (cell_timeout, timeout))
        _write(report, folder)
        output.say(
            f"{report.table()}\n\n{report.by_outcome()} in {report.seconds:.1f} s; the report is {folder / 'report.html'}\n"
            f"{report.summary()}"
        )
    if interrupted:
        raise KeyboardInterrupt
    return report


def _parameterized(sources: Sequence[Source], values: Mapping[str, Any]) -> list[Source]:
    """The sources, where a parameter that can't be set in one is that one's trouble."""
    if not any(s.trouble or s.unclear for s in sources):  # else it may be that one's
        check_parameters((s.parameters | s.late for s in sources), values)
    settled = []
    for source in sources:
        if source.unclear:  # its cell fails by itself, and says why
            source = replace(source, parameters=frozenset(values))
        if undone := sorted(source.late & values.keys()):
            what = f"{source.path} sets {', '.join(undone)} back in a second cell tagged parameters"
            source = replace(source, trouble=str(LabError(what, "tag one cell, and only that one")))
        settled.append(source)
    return settled


def _begin(report: Report, sources: Sequence[Source], folder: Path) -> None:
    """Write the report of a run that has not ended: a run that is killed leaves this one."""
    paths = {s.name: places.executed(s.name) for s in sources}
    nothing = [Notebook(s.name, "not-run", 0.0, sha256=s.sha256, path=paths[s.name]) for s in sources]
    _write(replace(report, notebooks=nothing, faults=["the run has not ended"]), folder)


def _fill(
    report: Report,
    sources: Sequence[Source],
    folder: Path,
    session: Session,
    jobs: int | None,
    limits: tuple[float, float],
) -> bool:
    """Run the notebooks and note in the report what came of them; whether the run was interrupted."""
    started = time.monotonic()
    progress = Progress(sources)
    work = Work(session, folder, report.parameters, limits, progress)
    work.unreadable([s for s in sources if s.trouble])
    sound = [s for s in sources if not s.trouble]
    try:
        with _terminable():
            if sound:
                _execute(session, work, sound, jobs or max(1, (os.cpu_count() or 2) // 2))
    except KeyboardInterrupt:
        work.stop()
        report.faults.append("the run was interrupted")
    except Exception as error:  # every run ends with a report
        if all(s.name in work.done for s in sound):
            report.faults.append(f"the run did not end as it should: {type(error).__name__}: {error}")
        work.infra(sound, error)
    finally:
        progress.close()
    report.notebooks = work.results(sources)
    report.left_behind = session.left_behind
    report.faults += session.faults
    report.seconds = round(time.monotonic() - started, 3)
    return work.stopped.is_set()


def _write(report: Report, folder: Path) -> None:
    from labkit.runner import page

    try:
        folder.mkdir(parents=True, exist_ok=True)  # a notebook may have deleted it
        report.write(folder)
        page.write(report, folder)
    except OSError as error:
        output.say(report.table())
        raise LabError(
            f"the report can't be written to {folder}: {error.strerror or error}", "make room, or name another folder"
        ) from error


def _execute(session: Session, work: Work, sources: Sequence[Source], jobs: int) -> None:
    """Run them in the session, of which the cluster and the kernels' parent start at the same time."""
    with session, ThreadPoolExecutor(1) as helper:
        starting = helper.submit(session.up, [s.name for s in sources])
        with _nursery(work.folder, sources) as work.nursery:
            starting.result()
            work.all(sources, jobs)
            # Before the kernels' parent ends, and everything below it.
            session.end_leftovers("/", work.nursery.parent.process.pid if work.nursery else None)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, with which CI systems end a job, is taken as Ctrl-C, and so is a terminal's end: a run cleans up after itself.
    Under nohup the latter is ignored, and stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


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
