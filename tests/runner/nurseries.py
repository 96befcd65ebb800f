"""Notebooks of a few cells, executed on kernels forked from a warm parent and on kernels started by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from labkit import paths
from labkit.runner.execute import Limits, execute
from labkit.runner.kernels import Nursery
from labkit.runner.notebooks import Source, read
from labkit.runner.report import Notebook

NORMAL = Limits(cell=20, notebook=60)


@pytest.fixture(scope="module", params=["forked", "started"])
def nursery(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery | None]:
    """Kernels forked from a warm parent, and kernels started by themselves (LABKIT_PORTABLE=1)."""
    if request.param == "started":
        yield None
        return
    yield from _nursery(tmp_path_factory)


@pytest.fixture(scope="module")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery | None]:
    """Forked kernels where there can be such; for what does not depend on how a kernel started."""
    if paths.portable():
        yield None
        return
    yield from _nursery(tmp_path_factory)


def _nursery(folders: pytest.TempPathFactory) -> Iterator[Nursery]:
    if paths.portable():
        pytest.skip("no warm parents here")
    parent = Nursery(folders.mktemp("nursery") / "log", frozenset())
    process = psutil.Process(parent.parent.process.pid)
    yield parent
    family = [process, *process.children(recursive=True)]
    parent.close()
    assert psutil.wait_procs(family, timeout=3)[1] == []


def notebook(folder: Path, *cells: str | dict[str, Any], **metadata: Any) -> Source:
    """A notebook whose first code cell is tagged `parameters`; a cell is its source, or a dict with `source`."""
    made = [nbformat.v4.new_code_cell(**({"source": c} if isinstance(c, str) else c)) for c in cells]
    book = nbformat.v4.new_notebook(cells=made)
    book.cells[0].metadata["tags"] = ["parameters"]
    book.metadata.update(metadata)
    nbformat.write(book, folder / "book.ipynb")
    return read(folder / "book.ipynb")


def tagged(source: str, *tags: str) -> dict[str, Any]:
    return {"source": source, "metadata": {"tags": list(tags)}}


def run(
    source: Source, folder: Path, nursery: Nursery | None, limits: Limits = NORMAL, **parameters: object
) -> Notebook:
    return execute(
        source, folder, parameters=parameters, environment={"GREETING": "hello"}, nursery=nursery, limits=limits
    )


def executed(result: Notebook, folder: Path) -> Any:
    return nbformat.read(folder / result.path, as_version=4)


def shown(result: Notebook, folder: Path) -> str:
    """All text that the notebook's cells have shown."""
    cells = executed(result, folder).cells
    return "".join(o.get("text", "") for c in cells for o in c.get("outputs", []))
