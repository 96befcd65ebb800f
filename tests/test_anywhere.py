"""The notebooks without `labkit run`: by whatever executes notebooks, from any folder, again and again on one cluster.

Nothing is prepared for them but an installed kit: `cluster.use()` starts the cluster, and files are found through
`labkit.paths`. In an empty folder a notebook has nothing of the course beside it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest

from books import FOLDER, NOTEBOOKS, load
from labkit import cluster

BIN = Path(sys.executable).parent
WAYS: dict[str, list[str]] = {
    "papermill": [str(BIN / "papermill"), "NOTEBOOK", "OUTPUT"],
    "execute": [str(BIN / "jupyter"), "execute", "NOTEBOOK", "--output=OUTPUT"],
    "nbconvert": [str(BIN / "jupyter"), "nbconvert", "--to=notebook", "--execute", "NOTEBOOK", "--output=OUTPUT"],
    "nbmake": [
        sys.executable,
        "-m",
        "pytest",
        "--nbmake",
        "--nbmake-timeout=600",
        "-p",
        "no:cacheprovider",
        "NOTEBOOK",
    ],
}
KEPT_OUT = ("KUBECONFIG", "LABKIT_CLUSTER", "LABKIT_RUN", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST")
SETUP, SYSTEM = FOLDER / "00_setup.ipynb", FOLDER / "13_end_to_end.ipynb"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
Run = Callable[[str, Path, Path], None]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """`run(way, notebook, folder)` executes a notebook from a folder; all of them on one cluster, which the first one starts."""
    home = tmp_path_factory.mktemp("home")
    environment = {k: v for k, v in os.environ.items() if k not in KEPT_OUT} | {"LABKIT_HOME": str(home)}
    environment["IPYTHONDIR"] = str(tmp_path_factory.mktemp("ipython"))

    def execute(way: str, notebook: Path, folder: Path) -> None:
        output = tmp_path_factory.mktemp("output") / notebook.name
        places = {"NOTEBOOK": str(notebook), "--output=OUTPUT": f"--output={output}", "OUTPUT": str(output)}
        command = [places.get(word, word) for word in WAYS[way]]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=800)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]

    yield execute
    before = os.environ.get("LABKIT_HOME")
    os.environ["LABKIT_HOME"] = str(home)
    try:
        assert pods_left() == []
        cluster.down(purge=True)
    finally:
        os.environ.pop("LABKIT_HOME") if before is None else os.environ.update(LABKIT_HOME=before)


def pods_left() -> list[str]:
    """The pods of the notebooks' namespace, when what was deleted has been collected."""
    kubectl = [str(BIN / "kubectl"), "--kubeconfig", cluster.kubeconfig(), "get", "pods", "-o", "name"]
    deadline = time.monotonic() + 30
    found = ["not asked yet"]
    while found and time.monotonic() < deadline:
        found = subprocess.run(kubectl, capture_output=True, text=True, check=True).stdout.split()
        time.sleep(0.2)  # the garbage collector is at work: what it removes last is not known here
    return found


def from_root(notebook: Path, tmp_path: Path) -> tuple[Path, Path]:
    return notebook, FOLDER.parent


def from_an_empty_folder(notebook: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the notebook in a folder where nothing else is."""
    copy = tmp_path / "alone" / notebook.name
    copy.parent.mkdir()
    shutil.copyfile(notebook, copy)
    return copy, copy.parent


def test_a_whole_notebook_runs_by_plain_papermill(run: Run, tmp_path: Path) -> None:
    run("papermill", *from_an_empty_folder(SETUP, tmp_path))


@pytest.mark.parametrize("way", WAYS)
def test_a_notebook_finds_the_cluster_and_its_files_by_every_tool(run: Run, tmp_path: Path, way: str) -> None:
    notebook = load(SYSTEM)
    last = next(number for number, each in enumerate(notebook.cells) if each.id == "tfjob")
    notebook.cells = notebook.cells[: last + 1]  # it has read all that it reads; the rest takes half a minute
    nbformat.write(notebook, tmp_path / "begun.ipynb")
    run(way, *from_an_empty_folder(tmp_path / "begun.ipynb", tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("place", [from_root, from_an_empty_folder], ids=["root", "empty"])
@pytest.mark.parametrize("way", WAYS)
def test_every_notebook_runs_by_every_tool_from_anywhere(
    run: Run, tmp_path: Path, way: str, place: Callable, notebook: Path
) -> None:
    run(way, *place(notebook, tmp_path))
