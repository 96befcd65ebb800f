"""The notebooks of one run, each guarded, so that no failure ends the run or another notebook."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.runner import report_folder as places
from labkit.runner.notebooks import Source
from labkit.runner.progress import Progress
from labkit.runner.report import CellError, Notebook

if TYPE_CHECKING:
    from labkit.runner.execute import Deadline
    from labkit.runner.kernels import Nursery
    from labkit.runner.session import Session


class Work:
    """What the notebooks of a run share; `limits` are the seconds for a cell and for a notebook."""

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
        """Run every source; those that must run alone come last. Ctrl-C ends those that run."""
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
        """Every source's result, in the order given, also where a second Ctrl-C cut a notebook short and its file exists."""
        return [
            self.done.get(s.name) or Notebook(s.name, "not-run", 0.0, sha256=s.sha256, path=self._written(s))
            for s in sources
        ]

    def _written(self, source: Source) -> str:
        path = places.executed(source.name)
        return path if (self.folder / path).exists() else ""

    def unreadable(self, sources: Sequence[Source]) -> None:
        """A file that can't be read is an error of that notebook; the others run."""
        for source in sources:
            error = CellError(-1, "UnreadableNotebook", source.trouble)
            self._end(source, Notebook(source.name, "error", 0.0, error=error, sha256=source.sha256))

    def infra(self, sources: Sequence[Source], error: Exception) -> None:
        """The cluster is not available: write this into the result of each notebook that has none yet."""
        for source in sources:
            if source.name not in self.done:
                self._end(source, self._infra(source, error, 0.0))

    def one(self, source: Source) -> None:
        if self.stopped.is_set():
            return
        self.progress.started(source)
        start = time.monotonic()
        try:
            result = self._execute(source)
        except Exception as error:
            result = self._infra(source, error, round(time.monotonic() - start, 3))
        if self.stopped.is_set() and not result.passed:
            result.outcome, result.error = "not-run", CellError(-1, "Interrupted", "the run was interrupted")
        self._end(source, result)

    def _execute(self, source: Source) -> Notebook:
        from labkit.runner.execute import Limits, execute

        return execute(
            source,
            self.folder,
            parameters=self.values,
            environment=self.session.environment(source.name),
            nursery=self.nursery,
            limits=Limits(*self.limits),
            on_cell=lambda: self.progress.cell(source),
            deadlines=self.deadlines,
        )

    def _infra(self, source: Source, error: Exception, seconds: float) -> Notebook:
        return Notebook(
            source.name,
            "infra",
            seconds,
            error=CellError(-1, type(error).__name__, str(error)),
            sha256=source.sha256,
            path=self._written(source),
        )

    def _end(self, source: Source, result: Notebook) -> None:
        self.done[source.name] = result
        self.progress.finished(result)
