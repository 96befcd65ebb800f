"""`labkit run` as a program, notebooks made of a few cells for it, and a home in which nothing may be left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home of its own, and no process that names this test's folder or carries its mark at the end."""
    for name in ("LABKIT_CLUSTER", "KUBECONFIG", "LABKIT_RUN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    before = set(psutil.pids())
    yield
    left = [p for p in psutil.process_iter(["cmdline"]) if p.pid not in before and _of(p, tmp_path)]
    words = [" ".join(p.info["cmdline"] or []) for p in left]
    for process in left:
        process.kill()
    assert not words


def _of(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.environ().get("LABKIT_HOME", "").startswith(str(folder))
    except psutil.Error:
        return False


def notebook(folder: Path, name: str, *cells: str, **metadata: object) -> Path:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in ("SCALE = 'ci'", *cells)])
    book.cells[0].metadata["tags"] = ["parameters"]
    book.metadata.update(metadata)
    folder.mkdir(exist_ok=True)
    nbformat.write(book, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "labkit.cli", "run", *map(str, words)]


def labkit(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=110)


def until_there(file: Path, words: list[str]) -> subprocess.Popen[bytes]:
    """The program, once it has made the file."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 80
    while not file.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)  # a file of another process
    return process
