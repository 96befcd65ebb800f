"""A notebook while it is executed: its cells keep their places in the source, and what becomes of each is recorded.

The bookkeeping is papermill's (`cell.metadata.papermill`), with the difference that a cell which never ran is `pending`, not
`completed`. The verdict on a notebook is made of these records and of nothing else.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellExecutionError
from papermill.engines import NotebookExecutionManager
from papermill.execute import ERROR_MARKER_TAG, remove_error_markers
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from labkit.runner.notebooks import Source
from labkit.runner.report import Cell, CellError, replace
from labkit.runner.swift import nbformat

KERNEL, LANGUAGE = "python3", "python"
ANCHOR = '<span id="papermill-error-cell"></span>**The cell below is the one that did not end well.**'


class Book(NotebookExecutionManager):
    """One notebook under way, saved to `out` after each step."""

    def __init__(self, source: Source, out: Path, parameters: dict[str, Any], on_cell: Callable[[], None]) -> None:
        notebook = load_notebook_node(str(source.path))
        before = list(notebook.cells)
        notebook = remove_error_markers(notebook)
        if parameters:
            notebook = parameterize_notebook(notebook, parameters, kernel_name=KERNEL, language=LANGUAGE)
        notebook.metadata.papermill |= {"input_path": str(source.path), "output_path": str(out)}
        super().__init__(notebook, output_path=str(out), progress_bar=False, autosave_cell_every=0)
        self.numbers = _numbers(before, notebook.cells)
        self.ids = _ids(source.path, len(before))
        self.on_cell = on_cell
        self.failure: CellError | None = None  # the first cell that did not end well
        self.allowed: list[CellError] = []  # exceptions that a cell's tag allows

    def save(self, **kwargs: Any) -> None:
        # A lone surrogate is no UTF-8, and the escape that stands for it is JSON's.
        body = nbformat.writes(self.nb).encode("utf-8", "backslashreplace") + b"\n"
        out = Path(self.output_path)
        out.parent.mkdir(parents=True, exist_ok=True)  # a notebook may have deleted it
        replace(out, body)

    def notebook_complete(self, **kwargs: Any) -> None:
        never_ran = [c for c in self.nb.cells if c.cell_type == "code" and self._status(c) == self.PENDING]
        super().notebook_complete(**kwargs)
        for cell in never_ran:
            cell.metadata.papermill["status"] = self.PENDING
        self.save()

    @contextmanager
    def running(self, cell: Any, index: int) -> Iterator[None]:
        """Record that the cell runs, and how it ends."""
        self.cell_start(cell, index)
        try:
            yield
        except BaseException as error:
            name, value = type(error).__name__, str(error)
            if isinstance(error, CellExecutionError):
                name, value = error.ename, error.evalue
            self.fail(cell, name, value)
            raise
        finally:
            self.cell_complete(cell, index)
            if self.number(cell) >= 0:
                self.on_cell()

    def code(self) -> list[tuple[str, str]]:
        """What each code cell is called, and its source."""
        return [(f"cell {self.number(c)}", c.source) for c in self.nb.cells if c.cell_type == "code"]

    def fail(self, cell: Any, name: str, message: str) -> None:
        self.cell_exception(cell)
        self.failure = self.failure or self.blame(cell, name, message)

    def number(self, cell: Any) -> int:
        """The cell's place in the source, from 0; -1 for the cell that papermill adds for parameters."""
        return self.numbers.get(id(cell), -1)

    def blame(self, cell: Any, name: str, message: str) -> CellError:
        number = self.number(cell)
        return CellError(number, name, message, self.ids[number] if number >= 0 else "", cell.source)

    def pending(self) -> list[CellError]:
        """The code cells that never ran."""
        return [
            self.blame(cell, "", "")
            for cell in self.nb.cells
            if cell.cell_type == "code" and cell.source.strip() and self._status(cell) == self.PENDING
        ]

    def records(self) -> list[Cell]:
        """What became of the source's code cells."""
        found = []
        for cell in self.nb.cells:
            if cell.cell_type != "code" or self.number(cell) < 0:
                continue
            status = "not-run" if self._status(cell) == self.PENDING else self._status(cell)
            course = cell.metadata.get("course", [])
            courses = [course] if isinstance(course, str) else list(course)
            found.append(Cell(self.number(cell), status, cell.metadata.papermill["duration"], courses))
        return found

    def _status(self, cell: Any) -> str:
        return str(cell.metadata.papermill["status"])

    def mark(self, outcome: str, error: CellError) -> None:
        """Write into the notebook how it ended, at its top and above the cell, as papermill does."""
        place = next((i for i, c in enumerate(self.nb.cells) if self.number(c) == error.cell >= 0), None)
        if place is not None:
            self.nb.cells.insert(place, _marker(ANCHOR))
        link = ' in <a href="#papermill-error-cell">the cell marked below</a>' if place is not None else ""
        said = html.escape(f"{error.name}: {error.message}")
        self.nb.cells.insert(0, _marker(f"**This notebook ended as `{outcome}`**{link}:\n\n<pre>{said}</pre>"))
        self.save()


def _marker(text: str) -> Any:
    cell = nbformat.v4.new_markdown_cell(text)
    cell.metadata.tags = [ERROR_MARKER_TAG]
    cell.metadata.papermill = {}
    return cell


def _numbers(before: list[Any], after: list[Any]) -> dict[int, int]:
    """Each cell's place in the source, by its identity. A new cell of parameters that replaces one has that one's."""
    places = {id(cell): number for number, cell in enumerate(before)}
    new = [cell for cell in after if id(cell) not in places]
    kept = {id(cell) for cell in after}
    replaced = [
        n for n, c in enumerate(before) if id(c) not in kept and "injected-parameters" in c.metadata.get("tags", [])
    ]
    return places | {id(cell): number for cell, number in zip(new, replaced, strict=False)}


def _ids(path: Path, count: int) -> list[str]:
    """The cells' ids as they stand in the file: '' where it has none, since those that nbformat makes up are nowhere."""
    raw = json.loads(path.read_bytes()).get("cells", [])
    found = [str(cell.get("id", "")) for cell in raw]
    return found if len(found) == count else [""] * count
