"""How far a run is: a bar with an ETA on a terminal, a line for each notebook elsewhere (CI)."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Sequence
from typing import TextIO

from tqdm import tqdm

from labkit import output
from labkit.runner.notebooks import Source
from labkit.runner.report import Notebook


class Progress:
    """Counts code cells, whose number a run knows before it starts."""

    def __init__(self, sources: Sequence[Source], stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr or open(os.devnull, "w")  # noqa: SIM115 (without one: `2>&-`)
        self.bar = None
        self.done = 0
        self.total = len(sources)
        self.lock = threading.Lock()
        if self.stream.isatty():
            self.bar = tqdm(total=sum(s.cells for s in sources), unit="cell", file=self.stream, leave=False)

    def cell(self, source: Source) -> None:
        with self.lock:
            if self.bar:
                with contextlib.suppress(OSError):  # the terminal is gone; the run goes on
                    self.bar.set_description(source.name, refresh=False)
                    self.bar.update(1)

    def started(self, source: Source) -> None:
        self._say(f"{source.name}: started")

    def finished(self, result: Notebook) -> None:
        self.done += 1
        self._say(f"{result.name}: {result.outcome} in {result.seconds:.1f} s ({self.done}/{self.total})")

    def _say(self, line: str) -> None:
        with self.lock:
            if self.bar:
                with contextlib.suppress(OSError):
                    self.bar.write(line, file=self.stream)
            else:
                output.say(line, self.stream)

    def close(self) -> None:
        if self.bar:
            with contextlib.suppress(OSError):
                self.bar.close()
