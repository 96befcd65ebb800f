"""`labkit run` as it is typed: exit codes, the reports, the bar on a terminal."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import termios
import time
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from runs import clean as clean
from runs import command, labkit, notebook

from labkit import cli, paths
from labkit.errors import LabError
from labkit.runner import parameters, provenance
from labkit.runner.report import OUTCOMES

FIGURE = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
CLUSTER = "import labkit.client as c\nprint(c.namespace(), len(c.listing('node')))"


def test_a_run_writes_every_report_and_ends_with_one_for_a_failure(tmp_path: Path) -> None:
    books = tmp_path / "books"
    notebook(books, "a-good", FIGURE, CLUSTER, "print(SCALE)")
    notebook(books, "b-wrong", "assert SCALE == 'ci', 'scale is not \\x01 ci'")
    broken = notebook(books, "c-broken", "1 / 0", exclusive=True)
    book = nbformat.read(broken, 4)
    book.cells[1].id = "broken"
    nbformat.write(book, broken)
    mine = tmp_path / "workflows" / "mine.yaml"
    mine.parent.mkdir()
    mine.write_text("kind: Workflow")
    out = tmp_path / "out"
    ended = labkit(books, "--out", out, "--jobs", "2", "-p", "SCALE", "class")
    assert ended.returncode == 1, ended.stderr
    assert "1 passed, 1 failed, 1 error in " in ended.stdout
    assert ended.stdout.splitlines()[-1] == "1 passed, 2 failed", "the line that CI reads"
    assert "c-broken: cell 1 (broken: 1 / 0): ZeroDivisionError: division by zero" in ended.stdout
    assert "a-good: started" in ended.stderr

    report = json.loads((out / "report.json").read_text())
    assert [(n["name"], n["outcome"]) for n in report["notebooks"]] == [
        ("a-good", "passed"),
        ("b-wrong", "failed"),
        ("c-broken", "error"),
    ]
    assert report["left_behind"] == []
    assert report["parameters"] == {"SCALE": "class"}
    assert report["versions"]["kubernetes"] == "30.1.0"
    steps = hashlib.sha256((paths.kit() / "workflows" / "end-to-end.yaml").read_bytes()).hexdigest()
    assert report["hashes"]["workflows/end-to-end.yaml"] == steps
    assert report["hashes"][str(mine)] == hashlib.sha256(b"kind: Workflow").hexdigest()
    assert re.fullmatch("[0-9a-f]{64}", report["hashes"]["labkit"])
    for each in report["notebooks"]:
        assert set(each) == {"name", "outcome", "seconds", "cells", "error", "sha256", "path", "notes"}
        assert each["outcome"] in OUTCOMES
        assert (out / each["path"]).exists()

    suite = ElementTree.parse(out / "junit.xml").getroot()
    assert (suite.tag, suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("testsuite", "3", "1", "1")
    assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["error"]]

    page = (out / "report.html").read_text()
    assert page.count("<img") == 1
    assert "<pre>assert SCALE == &#39;ci&#39;" in page, "the failed cell's source"
    assert "AssertionError: scale is not" in page
    assert "cell 1 (broken: 1 / 0)" in page
    assert page.count("the executed notebook (open it in JupyterLab)") == 3
    error = report["notebooks"][2]["error"]
    assert (error["id"], error["source"]) == ("broken", "1 / 0")
    assert "data:image/png;base64," in page
    good = nbformat.read(out / "notebooks" / "a-good.ipynb", 4)
    assert "".join(o.get("text", "") for c in good.cells for o in c.outputs).split() == ["nb-a-good", "1", "class"]


def test_the_packages_hash_changes_with_a_name_or_a_byte_and_not_with_bytecode(tmp_path: Path) -> None:
    def of(name: str, body: str) -> str:
        provenance.of_package.cache_clear()
        folder = tmp_path / f"{name}-{body}"
        (folder / "__pycache__").mkdir(parents=True)
        (folder / name).write_text(body)
        (folder / "__pycache__" / "x.pyc").write_text(str(time.monotonic_ns()))
        return provenance.of_package(folder)

    assert of("a.py", "1") != of("b.py", "1")
    assert of("c.py", "1") != of("c.py", "2")
    again = tmp_path / "again"
    shutil.copytree(tmp_path / "a.py-1", again)
    (again / "__pycache__" / "x.pyc").write_text("other")
    assert provenance.of_package(again) == provenance.of_package(tmp_path / "a.py-1")


MERGED = '{\n<<<<<<< HEAD\n "cells": [],\n=======\n "cells": [1],\n>>>>>>> b\n "nbformat": 4}'


def test_a_notebook_that_cant_be_read_is_its_own_error_and_the_others_run(tmp_path: Path) -> None:
    books = notebook(tmp_path / "books", "a-good", "print(SCALE)").parent
    (books / "b-cut.ipynb").write_text((books / "a-good.ipynb").read_text()[:200])
    (books / "c-merged.ipynb").write_text(MERGED)
    (books / "d-text.ipynb").write_bytes(b"\xff\xfe")
    (books / "e-other.ipynb").write_text('{"cells": 1, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    ended = labkit(books, "--out", tmp_path / "out", "-p", "SCALE", "class")
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-1] == "1 passed, 4 failed"
    told = json.loads((tmp_path / "out" / "report.json").read_text())["notebooks"]
    assert [n["outcome"] for n in told] == ["passed", "error", "error", "error", "error"]
    words = [n["error"]["message"] for n in told[1:]]
    for notebook_, message in zip("bcde", words, strict=True):
        assert re.match(f"{books}/{notebook_}-[a-z]+.ipynb can't be read as a notebook: .+\n  hint: .+", message), (
            message
        )
    assert "line " in words[0]
    assert "git checkout --ours" in words[1]
    suite = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    assert suite.get("errors") == "4"
    assert f"{books}/b-cut.ipynb can't be read" in (tmp_path / "out" / "report.html").read_text().replace("&#39;", "'")


def test_where_no_notebook_can_be_read_there_is_a_report_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("{")
    ended = labkit(tmp_path / "a.ipynb", "--out", tmp_path / "out", "-p", "SCALE", "ci")
    assert ended.returncode == 1
    assert [n["outcome"] for n in json.loads((tmp_path / "out" / "report.json").read_text())["notebooks"]] == ["error"]
    assert ElementTree.parse(tmp_path / "out" / "junit.xml").getroot().get("errors") == "1"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.ipynb"], "nowhere.ipynb is not a notebook"),
        (["{books}", "-p", "SCALES", "ci"], "no notebook of this run has a parameter 'SCALES'\n  hint: known: SCALE"),
        (["{books}", "--engine", "nomad"], "there is no engine 'nomad'"),
        (["{books}", "--cluster", "nobody"], "the cluster 'nobody' is absent"),
        (["{books}", "--cluster", "nobody", "--nodes", "2"], "--nodes applies to a cluster that the run starts"),
        (["{books}", "--cluster", "nobody", "--engine", "kind"], "--engine applies to a cluster that the run starts"),
        (["{books}", "--nodes", "0"], "--nodes 0: a cluster has 1 to 20 nodes"),
        (["{books}", "--timeout", "0"], "--timeout 0: a limit is from 1 second to a week"),
        (["{books}", "--timeout", "-1"], "--timeout -1: a limit"),
        (["{books}", "--timeout", "nan"], "--timeout nan: a limit"),
        (["{books}", "--timeout", "0.2"], "--timeout 0.2: a limit"),
        (["{books}", "--timeout", "inf"], "--timeout inf: a limit"),
        (["{books}", "--cell-timeout", "0"], "--cell-timeout 0: a limit"),
        (["{books}", "--cell-timeout", "1e30"], "--cell-timeout 1e+30: a limit"),
        (["{books}", "--jobs", "0"], "--jobs 0: at least one"),
        (["{books}", "--jobs", "-1"], "--jobs -1: at least one"),
        (["{books}", "-p", "SCALE", "nan"], "-p SCALE: nan is a number that neither"),
        (["{books}", "--out", ""], "--out is empty"),
        (["{books}", "--out", "{books}"], "--out {books} holds {books}/a.ipynb, which the run would overwrite"),
        (["{books}", "--out", "{books}/.."], "--out {books}/.. holds {books}/a.ipynb"),
        (["{books}", "--out", "{books}/a.ipynb"], "--out {books}/a.ipynb is a file"),
        (["{empty}"], "no notebooks in {empty}"),
        ([""], "a path is empty"),
        (["{books}", "--engine", ""], "there is no engine ''"),
        (["{books}", "--cluster", ""], "'' can't be a cluster's name"),
        (["{books}", "-p", "LR", "-1e-3"], "no notebook of this run has a parameter 'LR'"),
        (["{books}", "-r", "NAME", "--out"], "no notebook of this run has a parameter 'NAME'"),
    ],
)
def test_a_run_that_cant_begin_says_why_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    book = notebook(tmp_path / "books", "a", "pass")
    (tmp_path / "empty").mkdir()
    names = {"books": book.parent, "empty": tmp_path / "empty"}
    body = book.read_bytes()
    code = cli.main(["run", "--out", str(tmp_path / "out"), *[w.format(**names) for w in words]])
    assert code == 1
    assert f"labkit: {said.format(**names)}" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["books", "empty"]
    assert [p.name for p in book.parent.iterdir()] == ["a.ipynb"]
    assert book.read_bytes() == body


@pytest.mark.parametrize(
    ("words", "given", "raw"),
    [
        (["-p", "LR", "-1e-3", "-p", "N", "-5"], [("LR", "-1e-3"), ("N", "-5")], []),
        (["-r", "NAME", "--force", "-p", "A", "1"], [("A", "1")], [("NAME", "--force")]),
        (["--parameter-raw", "A", "-p", "-p", "B", "x y"], [("B", "x y")], [("A", "-p")]),
    ],
)
def test_a_parameters_value_may_begin_with_a_dash(
    monkeypatch: pytest.MonkeyPatch, words: list[str], given: list[tuple[str, str]], raw: list[tuple[str, str]]
) -> None:
    def note(typed: list[tuple[str, str]], texts: list[tuple[str, str]]) -> dict[str, str]:
        heard.extend([typed, texts])
        raise LabError("enough")

    heard: list[list[tuple[str, str]]] = []
    monkeypatch.setattr(parameters, "given", note)
    assert cli.main(["run", "x.ipynb", "--out", "out", *words]) == 1
    assert heard == [given, raw]


def test_a_run_may_have_several_nodes_and_its_notebooks_let_one_fail(tmp_path: Path) -> None:
    drill = "from labkit import cluster\nprint(cluster.stop_node('labkit-2'))"
    after = "cluster.use()\nprint(cluster.status('run')['nodes'])"
    books = notebook(tmp_path / "books", "a", CLUSTER, drill, after).parent
    ended = labkit(books, "--nodes", "2", "--out", tmp_path / "out")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    book = nbformat.read(tmp_path / "out" / "notebooks" / "a.ipynb", 4)
    lines = "".join(o.get("text", "") for c in book.cells for o in c.outputs).splitlines()
    assert lines == ["nb-a 2", "node labkit-2 is off: NotReady; no pods were lost",
                     "{'labkit': 'running', 'labkit-2': 'stopped'}"]  # fmt: skip


DECOY = """
apiVersion: v1
kind: Config
current-context: mine
contexts: [{name: mine, context: {cluster: mine, user: mine}}]
clusters: [{name: mine, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: mine, user: {token: secret}}]
"""
CORE = """
from kubernetes import client, config
config.load_kube_config()
print(client.Configuration.get_default_copy().host != "https://127.0.0.1:1")
client.CoreV1Api().create_namespaced_config_map("default", {"metadata": {"name": NAME}})
"""
TRAINING = """
from kubeflow.training import TrainingClient
print(TrainingClient(job_kind="TFJob").list_jobs(namespace="default"))
"""


@pytest.mark.parametrize("portable", ["0", "1"], ids=["forked", "started"])
def test_the_official_clients_find_the_runs_cluster_and_never_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portable: str
) -> None:
    """In cells as they stand in any tutorial: without labkit, with it before, and with it after."""
    (tmp_path / "user" / ".kube").mkdir(parents=True)
    (tmp_path / "user" / ".kube" / "config").write_text(DECOY)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("LABKIT_PORTABLE", portable)
    use = "from labkit import cluster\ncluster.use()"
    books = tmp_path / "books"
    notebook(books, "a", "NAME = 'a'", CORE, TRAINING)
    notebook(books, "b", "NAME = 'b'", use, CORE, TRAINING)
    notebook(books, "c", "NAME = 'c'", TRAINING, use, CORE)
    ended = labkit(books, "--out", tmp_path / "out", "--jobs", "3")
    assert ended.returncode == 0, ended.stdout
    for name in "abc":
        book = nbformat.read(tmp_path / "out" / "notebooks" / f"{name}.ipynb", 4)
        said = "".join(o.get("text", "") for c in book.cells for o in c.outputs if o.get("name") == "stdout")
        assert sorted(said.split()) == ["True", "[]"]


def test_a_cluster_that_cant_start_is_nobodys_wrong_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = notebook(tmp_path / "books", "a", "pass")
    blocked = tmp_path / "no-uvicorn"
    blocked.mkdir()
    (blocked / "uvicorn.py").write_text("raise ImportError('no uvicorn here')")
    monkeypatch.setenv("PYTHONPATH", str(blocked))
    ended = labkit(book, "--out", tmp_path / "out")
    assert ended.returncode == 1
    told = json.loads((tmp_path / "out" / "report.json").read_text())["notebooks"][0]
    assert told["outcome"] == "infra"
    assert "no uvicorn here" in told["error"]["message"]


def test_an_unknown_scale_is_told_which_there_are(tmp_path: Path) -> None:
    book = notebook(tmp_path / "books", "a", "from labkit import scale\nscale.choose(SCALE, {'ci': 1, 'class': 2})")
    ended = labkit(book, "--out", tmp_path / "out", "-p", "SCALE", "huge")
    assert ended.returncode == 1
    assert "LabError: SCALE is 'huge', which is no scale of this notebook\n  hint: set it to ci, class" in ended.stdout
    assert ended.stdout.splitlines()[-2].startswith("1 error in ")


def test_a_terminal_gets_a_bar_with_the_time_that_is_left(tmp_path: Path) -> None:
    book = notebook(tmp_path / "books", "a", *["import time; time.sleep(0.3)"] * 4)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 90, 0, 0))
    process = subprocess.Popen(
        command(book, "--out", tmp_path / "out"), stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 65536):
            said += piece
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    assert process.wait(20) == 0
    assert b"5/5" in said
    assert b"cell" in said
    assert b"a: passed" in said


@pytest.mark.slow
def test_notebooks_that_measure_time_run_alone(tmp_path: Path) -> None:
    books = tmp_path / "books"
    note = "import time\nstart = time.time()\ntime.sleep(0.5)\nprint(start, time.time())"
    for name in ("a", "b"):
        notebook(books, name, note)
    notebook(books, "c", note, exclusive=True)
    assert labkit(books, "--out", tmp_path / "out", "--jobs", "3").returncode == 0
    times = {}
    for name in ("a", "b", "c"):
        executed = nbformat.read(tmp_path / "out" / "notebooks" / f"{name}.ipynb", 4)
        times[name] = tuple(map(float, executed.cells[-1].outputs[0].text.split()))
    assert times["a"][0] < times["b"][1] and times["b"][0] < times["a"][1], "together"  # noqa: PT018
    assert times["c"][0] > max(times["a"][1], times["b"][1]), "alone"
