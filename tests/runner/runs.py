"""`labkit run` as a program, notebooks made of a few cells for it, and a home in which nothing may be left behind."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

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


def wait_until_ended(folder: Path) -> None:
    """Wait for what a killed run of the test in this folder has left: it ends by itself, but not at once."""
    left = [process for process in psutil.process_iter(["cmdline"]) if _of(process, folder)]
    _, alive = psutil.wait_procs(left, timeout=30)
    assert not [process.info["cmdline"] for process in alive]


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
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=280)


def assert_agreement(ended: subprocess.CompletedProcess[str], out: Path) -> None:
    """The exit code, the last line, junit.xml, report.json and report.html say the same."""
    report = json.loads(
        (out / "report.json").read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON")
    )
    suite = ElementTree.parse(out / "junit.xml").getroot()
    page = (out / "report.html").read_text()
    passed, failed = map(int, re.fullmatch(r"(\d+) passed, (\d+) failed", ended.stdout.splitlines()[-1]).groups())
    assert report["passed"] == (ended.returncode == 0) == (failed == 0)
    assert passed == sum(n["outcome"] == "passed" for n in report["notebooks"])
    assert failed == len(report["notebooks"]) - passed + len(report["left_behind"]) + len(report["faults"])
    count = {name: int(suite.get(name, "")) for name in ("tests", "failures", "errors", "skipped")}
    tags = [child.tag for case in suite for child in case]
    assert count == {"tests": len(suite), **{n: tags.count(t) for n, t in TAGS.items()}}
    assert failed == len(tags)
    assert bool(failed) == bool(count["failures"] or count["errors"])
    assert (
        f"<title>labkit: {'failed' if failed else 'passed'}, {passed} of {len(report['notebooks'])} notebooks" in page
    )
    for what in report["left_behind"] + report["faults"]:
        assert what in html.unescape(page)


TAGS = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def until_there(file: Path, words: list[str]) -> subprocess.Popen[bytes]:
    """The program, once it has made the file."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 200
    while not file.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)  # a file of another process
    return process
