"""The exit code, the last line and the three reports agree, whatever becomes of the notebooks, the run, or the reader."""

from __future__ import annotations

import html
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import nbformat
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import assert_agreement, command, labkit, notebook, until_there, wait_until_ended
from runs import clean as clean

from labkit import cli, runner
from labkit.errors import LabError
from labkit.runner import page
from labkit.runner.report import OUTCOMES, CellError, Notebook, Report
from processes import wait_until_gone

text = st.text(st.characters(exclude_categories=()), max_size=20)  # surrogates and control characters, too


@given(
    outcomes=st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=4),
    left=st.lists(text.map("x".__add__), max_size=2),
    interrupted=st.booleans(),
    said=text,
)
def test_one_count_is_behind_all_of_them(
    tmp_path_factory: pytest.TempPathFactory, outcomes: list[str], left: list[str], interrupted: bool, said: str
) -> None:
    errors = [None if word == "passed" else CellError(0, "Odd", said, said, said) for word in outcomes]
    books = [Notebook(f"n{i}", word, 1.0, error=errors[i]) for i, word in enumerate(outcomes)]
    # A run of which something did not run was interrupted: that is how it came about.
    faults = ["the run was interrupted"] if interrupted or "not-run" in outcomes else []
    left = [what.encode("utf-8", "backslashreplace").decode().replace("\r", "") for what in left]
    report = Report(books, versions={"labkit": "1"}, left_behind=left, faults=faults)
    out = tmp_path_factory.mktemp("out")
    report.write(out)
    page.write(report, out)
    code = 0 if report.passed else 1
    assert_agreement(subprocess.CompletedProcess([], code, f"{report.table()}\n{report.summary()}"), out)
    words = {c.get("name"): c[0].get("type") for c in ElementTree.parse(out / "junit.xml").getroot() if len(c)}
    assert {n.name: n.outcome for n in books if not n.passed} == {n: o for n, o in words.items() if o != "run"}


@pytest.mark.parametrize("redirection", ["| true", "2>&1 | true", "2>&1 | head -c 1", ">&-", "2>&-", ">&- 2>&-"])
def test_a_failing_run_fails_without_a_reader(tmp_path: Path, redirection: str) -> None:
    (tmp_path / "a.ipynb").write_text("{")
    words = " ".join(command(tmp_path / "a.ipynb", "--out", tmp_path / "out"))
    assert subprocess.run(["bash", "-o", "pipefail", "-c", f"{words} {redirection}"], timeout=60).returncode == 1
    assert '"passed": false' in (tmp_path / "out" / "report.json").read_text()


def test_output_that_cant_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("{")
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            command(tmp_path / "a.ipynb", "--out", tmp_path / "out"), stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert ended.returncode == 1
    assert "standard output can't be written: No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_run_in_a_latin_1_terminal_shows_what_it_lacks_as_escapes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    (tmp_path / "урок.ipynb").write_text("{")
    ended = labkit(tmp_path / "урок.ipynb", "--out", tmp_path / "out")
    assert ended.returncode == 1
    assert r"\u0443\u0440\u043e\u043a" in ended.stdout
    assert_agreement(ended, tmp_path / "out")


def test_a_run_that_is_killed_leaves_a_report_that_says_so_and_a_folder_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # the run's own folder outlives it
    started = tmp_path / "started"
    book = notebook(tmp_path / "books", "a", f"open({str(started)!r}, 'w').close()\nimport time\ntime.sleep(1000)")
    out = tmp_path / "out"
    process = until_there(started, command(book, "--out", out))
    (tmp_path / "b.ipynb").write_text("{")
    meanwhile = labkit(tmp_path / "b.ipynb", "--out", out)
    assert meanwhile.returncode == 1
    assert f"another run writes to --out {out}" in meanwhile.stderr
    process.kill()
    process.communicate(timeout=20)
    assert not [path.name for path in tmp_path.iterdir() if path.suffix == ".json"], "a kernel's connection file"
    assert_agreement(subprocess.CompletedProcess([], -signal.SIGKILL, "0 passed, 2 failed"), out)
    assert "the run has not ended" in (out / "report.html").read_text()
    ended = labkit(tmp_path / "b.ipynb", "--out", out)
    assert ended.stdout.splitlines()[-1] == "0 passed, 1 failed"
    assert_agreement(ended, out)
    assert not (out / "notebooks" / "a.ipynb").exists()
    wait_until_ended(tmp_path)


def test_a_folders_own_report_is_no_input_and_not_left_from_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.ipynb").write_text("{")
    for _ in range(2):
        assert cli.main(["run", ".", "--out", "report"]) == 1
        assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 1 failed"
    (tmp_path / "latest").symlink_to("report")
    assert cli.main(["run", ".", "--out", "latest"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 1 failed"
    assert cli.main(["run", "report", "--out", "other"]) == 1
    assert "no notebooks in report" in capsys.readouterr().err


def test_a_report_is_written_where_a_notebook_has_deleted_its_folder_and_else_that_is_an_error(tmp_path: Path) -> None:
    report = Report([Notebook("a", "passed", 1.0)], versions={"labkit": "1"})
    runner._write(report, tmp_path / "gone" / "out")
    assert '"passed": true' in (tmp_path / "gone" / "out" / "report.json").read_text()
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match="the report can't be written to"):
        runner._write(report, tmp_path / "file")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_a_job_or_a_terminal_is_a_ctrl_c(number: signal.Signals) -> None:
    outside = signal.signal(number, signal.SIG_DFL)  # nohup has one ignored
    try:
        with pytest.raises(KeyboardInterrupt), runner._terminable():
            signal.raise_signal(number)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, outside)


def test_under_nohup_a_terminals_end_is_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with runner._terminable():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_more_than_one_ctrl_c_leaves_reports_that_agree_and_nothing_else(tmp_path: Path) -> None:
    started = tmp_path / "started"
    notebook(tmp_path / "books", "a", f"open({str(started)!r}, 'w').close()\nimport time\ntime.sleep(1000)")
    process = until_there(started, command(tmp_path / "books", "--out", tmp_path / "out"))
    below = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)  # somewhere in what the one before has begun
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    last = said.decode().splitlines()[-1]
    written = last if last.endswith("failed") else "0 passed, 2 failed"  # else it came while the report was written
    assert_agreement(subprocess.CompletedProcess([], 130, written), tmp_path / "out")
    wait_until_gone(below, 30)


ODD = {
    "урок": "print('ok')",
    "a {b} 50% #1?&<i>": "print('ok')",
    "lab_1": "print('ok')",
    "lab-1": "print('ok')",
    "deep": "x = " + "-" * 50_000 + "1",
}


def outputs(out: Path) -> dict[str, tuple[str, str]]:
    """Each notebook's outcome and what it has printed, by the links of the page."""
    links = [
        unquote(html.unescape(link))
        for link in re.findall('href="(notebooks/[^"]*)"', (out / "report.html").read_text())
    ]
    found = {}
    for each in json.loads((out / "report.json").read_text())["notebooks"]:
        cells = nbformat.read(out / each["path"], 4).cells if each["path"] in links else []
        said = "".join(o.get("text", "") for c in cells for o in c.get("outputs", []))
        found[each["name"]] = (each["outcome"], said.strip())
    return found


def test_no_odd_notebook_ends_the_run_of_another(tmp_path: Path) -> None:
    """Names that are no namespace's, that meet, that no URL or no UTF-8 holds; cells that no parser reads."""
    books = tmp_path / "books"
    cell = "import labkit.client as c\nprint(c.namespace())"
    for name, source in ODD.items():
        notebook(books, name, source if name == "deep" else cell)
    for group in ("group1", "group2"):
        notebook(books / group, "hw1", cell)
    latin = notebook(books, "latin", cell)
    latin.rename(os.fsdecode(os.fsencode(books) + b"/caf\xe9.ipynb"))
    half = notebook(books, "half", "HALF")
    half.write_text(half.read_text().replace("HALF", r"print('\ud800')"))
    out = books / "report"
    ended = labkit(books, "--out", out, "--jobs", "4")
    assert_agreement(ended, out)
    report = outputs(out)
    good = {"урок", "a {b} 50% #1?&<i>", "lab_1", "lab-1", "group1/hw1", "group2/hw1", r"caf\xe9"}
    assert {name for name, (outcome, _) in report.items() if outcome == "passed"} == good, ended.stdout
    assert {name: outcome for name, (outcome, _) in report.items() if name not in good} == {
        "deep": "error",
        "half": "error",
    }
    namespaces = {said for name, (_, said) in report.items() if name in good}
    assert len(namespaces) == len(good), "one each"


def test_a_parameter_is_set_or_said_to_be_unset_and_never_dropped(tmp_path: Path) -> None:
    books = tmp_path / "books"
    say = "print([SCALE, ID])"
    for name, first in {
        "tuple": "SCALE, ID = 'ci', 1",
        "magic": "%matplotlib inline\nSCALE = 'ci'\nID = !echo 1",
        "timed": "%%time\nSCALE = 'ci'\nID = 1",
        "branch": "if True:\n    SCALE = 'ci'\nfor ID in [1]:\n    pass",
        "broken": "SCALE = = 'ci'",
    }.items():
        tagged(books, name, first, say)
    twice = tagged(books, "twice", "SCALE = 'ci'", "ID = 1")
    book = nbformat.read(twice, 4)
    book.cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(book, twice)
    ended = labkit(books, "--out", tmp_path / "out", "--jobs", "3", "-p", "SCALE", "class", "-r", "ID", "0042")
    assert_agreement(ended, tmp_path / "out")
    found = outputs(tmp_path / "out")
    good = {name: said.splitlines()[-1] for name, (outcome, said) in found.items() if outcome == "passed"}
    assert good == dict.fromkeys(("tuple", "magic", "timed", "branch"), "['class', '0042']"), ended.stdout
    assert {name: outcome for name, (outcome, _) in found.items() if name not in good} == {
        "broken": "error",
        "twice": "error",
    }
    assert f"{twice} sets ID back in a second cell tagged parameters" in ended.stdout
    assert "broken: cell 0 " in ended.stdout


def tagged(folder: Path, name: str, first: str, *cells: str) -> Path:
    """A notebook whose cell tagged `parameters` is this one."""
    path = notebook(folder, name, *cells)
    book = nbformat.read(path, 4)
    book.cells[0].source = first
    nbformat.write(book, path)
    return path
