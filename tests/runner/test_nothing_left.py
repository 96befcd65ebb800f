"""What a run, or one of its notebooks, could leave behind, however it ends: processes, pods, clusters, namespaces, folders."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import psutil
import pytest
from processes import wait_until_gone
from runs import clean as clean
from runs import command, labkit, notebook, until_there

from labkit import client, cluster
from labkit.runner import lifeline


def test_a_process_that_a_notebook_leaves_behind_is_ended_and_told(tmp_path: Path) -> None:
    daemon = "import subprocess\nsubprocess.Popen(['sleep', '987'], start_new_session=True)"
    ended = labkit(notebook(tmp_path / "books", "a", daemon), "--out", tmp_path / "out")
    assert ended.returncode == 1
    assert "left behind and ended" in ended.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(report["left_behind"]) == 1
    assert "sleep 987" in report["left_behind"][0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_a_report_and_nothing_else(tmp_path: Path, number: signal.Signals) -> None:
    books = tmp_path / "books"
    started = tmp_path / "started"
    notebook(books, "a", f"open({str(started)!r}, 'w').close()\nimport time\ntime.sleep(100)")
    notebook(books, "b", "pass")
    process = until_there(started, command(books, "--out", tmp_path / "out", "--jobs", "1"))
    process.send_signal(number)
    process.communicate(timeout=40)
    assert process.returncode == 130
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [n["outcome"] for n in report["notebooks"]] == ["not-run", "not-run"]
    assert report["left_behind"] == []
    suite = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    assert suite.get("skipped") == "2"


LONG_POD = """
import labkit.client as c
from labkit import cluster
main = {'name': 'main', 'image': 'busybox', 'command': ['sleep', SECONDS]}
c.apply({'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'long'}, 'spec': {'containers': [main]}})
c.wait('pod', 'long', lambda pod: pod['status'].get('phase') == 'Running')
"""


@pytest.mark.parametrize(
    "portable", [pytest.param("0", id="forked"), pytest.param("1", id="started", marks=pytest.mark.slow)]
)
def test_what_a_run_that_is_killed_has_left_ends_by_itself_and_the_next_run_deletes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portable: str
) -> None:
    """In the middle of a notebook that has a pod, and a cluster of its own."""
    monkeypatch.setenv("LABKIT_PORTABLE", portable)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    started = tmp_path / "started"
    ready = f"cluster.up('spare')\nopen({str(started)!r}, 'w').close()\nimport time\ntime.sleep(1000)"
    seconds = str(os.getpid() + 10_000_000)  # a command that no other process has
    book = notebook(tmp_path / "books", "a", f"SECONDS = {seconds!r}", LONG_POD, ready)
    run = until_there(started, command(book, "--out", tmp_path / "out"))
    (folder,) = tmp_path.glob("labkit-run-*")
    started_by_it = {p.pid: " ".join(p.cmdline()) for p in psutil.Process(run.pid).children(recursive=True)}
    for words, count in (("kubelet --home", 2), ("server --home", 2), (f"sleep {seconds}", 1)):
        assert len([w for w in started_by_it.values() if words in w]) == count, started_by_it

    run.kill()
    run.communicate(timeout=10)
    wait_until_gone(started_by_it, 30)
    assert folder.exists()

    ended = labkit(notebook(tmp_path / "books", "b", "pass"), "--out", tmp_path / "out")
    assert ended.returncode == 0, ended.stdout
    assert f"{folder}: what a run that was killed had left is deleted" in ended.stderr
    assert not list(tmp_path.glob("labkit-run-*"))


def test_on_a_cluster_that_runs_a_run_leaves_no_namespace(tmp_path: Path) -> None:
    kubeconfig = cluster.up("mine")["kubeconfig"]
    try:
        pods = "import labkit.client as c\nc.apply(POD)\nprint(c.namespace())"
        pod = "POD = {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'long'}, 'spec': {'containers': ["
        pod += (
            "{'name': 'main', 'image': 'busybox', 'command': ['sleep', '100']}], 'terminationGracePeriodSeconds': 1}}"
        )
        ended = labkit(notebook(tmp_path / "books", "a", pod, pods), "--out", tmp_path / "out", "--cluster", "mine")
        assert ended.returncode == 0, ended.stdout
        executed = nbformat.read(tmp_path / "out" / "notebooks" / "a.ipynb", 4)
        assert executed.cells[-1].outputs[0].text.startswith("nb-a-")
        os.environ["KUBECONFIG"] = kubeconfig
        names = {n["metadata"]["name"] for n in client.listing("namespace")}
        assert "default" in names
        assert not [name for name in names if name.startswith("nb-")]
        assert cluster.status("mine")["state"] == "running"
    finally:
        os.environ.pop("KUBECONFIG", None)
        cluster.down("mine", purge=True)


SPARE = """
from labkit import cluster
assert cluster.status(os.environ["LABKIT_CLUSTER"])["state"] == "running", "the run's cluster can be asked for"
assert cluster.up("spare")["state"] == "running"
"""


def test_a_cluster_that_a_notebook_leaves_behind_is_deleted_and_told(tmp_path: Path) -> None:
    """Two notebooks at once make a cluster of the same name, on a cluster of the user; one of them dies."""
    cluster.up("mine")
    try:
        books = tmp_path / "books"
        meet = "import os, time\nopen(os.path.abspath('MINE'), 'w').close()\nwhile not os.path.exists('OTHERS'): time.sleep(.05)"
        for mine, others, end in (("a", "b", "os._exit(3)"), ("b", "a", "cluster.down('spare', purge=True)")):
            both = meet.replace("MINE", f"{mine}.up").replace("OTHERS", f"{others}.up")
            notebook(books, mine, "import os\n" + SPARE, both, end)
        ended = labkit(books, "--out", tmp_path / "out", "--jobs", "2", "--cluster", "mine")
        assert ended.returncode == 1
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        assert [n["outcome"] for n in report["notebooks"]] == ["error", "passed"], ended.stdout
        assert report["left_behind"] == ["cluster spare of a"]
        assert cluster.status("mine")["state"] == "running", "the user's own is left alone"
    finally:
        cluster.down("mine", purge=True)


@pytest.mark.slow
def test_a_run_that_is_killed_on_a_cluster_that_runs_leaves_no_namespace_after_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # what this process has read of it before
    kubeconfig = cluster.up("mine")["kubeconfig"]
    try:
        started = tmp_path / "started"
        ready = f"open({str(started)!r}, 'w').close()\nimport time\ntime.sleep(1000)"
        book = notebook(tmp_path / "books", "a", "SECONDS = '100'", LONG_POD, ready)
        run = until_there(started, command(book, "--out", tmp_path / "out", "--cluster", "mine"))
        run.kill()
        run.communicate(timeout=10)
        assert cluster.status("mine")["state"] == "running", "it does not live by the run"
        monkeypatch.setenv("KUBECONFIG", kubeconfig)
        assert [n for n in client.listing("namespace") if n["metadata"]["name"].startswith("nb-a-")]
        assert len(lifeline.sweep()) == 1
        left = [n for n in client.listing("namespace") if n["metadata"]["name"].startswith("nb-a-")]
        assert all("deletionTimestamp" in n["metadata"] for n in left)
        assert not list(tmp_path.glob("labkit-run-*"))
    finally:
        cluster.down("mine", purge=True)
