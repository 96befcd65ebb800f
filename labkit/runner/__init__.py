"""Run notebooks headless, with papermill underneath, and report: `labkit run`.

A run has a cluster of its own, a warm parent that kernels are forked from, a namespace for each notebook, and as many
notebooks at once as there are jobs; notebooks that measure time (`"exclusive": true` in their metadata) run alone, last.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from labkit import __version__, paths
from labkit.errors import LabError
from labkit.runner.notebooks import Source, check_parameters, find, typed
from labkit.runner.progress import Progress
from labkit.runner.report import CellError, Notebook, Report, summary

if TYPE_CHECKING:
    from labkit.runner.kernels import Nursery
    from labkit.runner.session import Session

PACKAGES = ("tensorflow-cpu", "tensorflow", "kubernetes", "kubeflow-training", "argo-workflows", "kfp", "papermill")


def run(
    given: Sequence[str | Path],
    *,
    out: str | Path,
    engine: str = "embedded",
    cluster_name: str | None = None,
    jobs: int = 0,
    parameters: dict[str, str] | None = None,
    timeout: float = 1800,
    cell_timeout: float = 600,
) -> Report:
    """Execute the notebooks of files and folders `given` and write `out`/{notebooks/, report.json, junit.xml,
    report.html}. A notebook's failure is a result, not an error; LabError where a run can't begin."""
    sources = find(given)
    values = {name: typed(value) for name, value in (parameters or {}).items()}
    check_parameters(sources, values)
    folder = _folder(Path(out))
    started = time.monotonic()

    from labkit.runner.execute import Limits
    from labkit.runner.session import Session

    progress = Progress(sources)
    report = Report([], engine=engine, versions=versions(), parameters=values)
    session = Session(engine, cluster_name)
    try:
        with session, ThreadPoolExecutor(1) as helper:
            starting = helper.submit(session.up)
            with _nursery(folder, sources) as nursery:
                starting.result()
                work = _Work(session, nursery, folder, values, Limits(cell_timeout, timeout), progress)
                report.notebooks = work.all(sources, jobs or max(1, (os.cpu_count() or 2) // 2))
    finally:
        progress.close()
    report.left_behind = session.left_behind
    report.seconds = round(time.monotonic() - started, 3)
    report.write(folder)

    from labkit.runner import page

    page.write(report, folder)
    print(
        f"{report.table()}\n\n{summary(report.notebooks)} in {report.seconds:.1f} s; the report is {folder / 'report.html'}"
    )
    return report


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
        self, session: Session, nursery: Nursery | None, folder: Path, values: dict, limits: object, progress: Progress
    ) -> None:
        self.session, self.nursery, self.folder = session, nursery, folder
        self.values, self.limits, self.progress = values, limits, progress
        self.stopped = threading.Event()

    def all(self, sources: Sequence[Source], jobs: int) -> list[Notebook]:
        """Every source's result, in the order given; Ctrl-C lets those under way end and leaves the others not-run."""
        together = [s for s in sources if not s.exclusive]
        alone = [s for s in sources if s.exclusive]
        results: dict[str, Notebook] = {}
        for group, width in ((together, jobs), (alone, 1)):
            with ThreadPoolExecutor(width) as pool:
                try:
                    for result in pool.map(self.one, group):
                        results[result.name] = result
                except KeyboardInterrupt:
                    self.stopped.set()
        return [results.get(s.name) or Notebook(s.name, "not-run", 0.0, sha256=s.sha256) for s in sources]

    def one(self, source: Source) -> Notebook:
        from labkit.runner.execute import execute

        if self.stopped.is_set():
            return Notebook(source.name, "not-run", 0.0, sha256=source.sha256)
        self.progress.started(source)
        start = time.monotonic()
        try:
            result = execute(
                source,
                self.folder,
                parameters=self.values,
                environment=self.session.environment(source.name),
                nursery=self.nursery,
                limits=self.limits,  # type: ignore[arg-type]
                on_cell=lambda: self.progress.cell(source),
            )
        except Exception as error:
            seconds = round(time.monotonic() - start, 3)
            told = CellError(-1, type(error).__name__, str(error))
            result = Notebook(source.name, "infra", seconds, error=told, sha256=source.sha256)
        self.progress.finished(result)
        return result


def versions() -> dict[str, str]:
    """What ran: labkit, Python, the platform, and the packages that matter."""
    found = {"labkit": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
