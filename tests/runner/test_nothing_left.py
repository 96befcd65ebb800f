"""What a run, or one of its notebooks, could leave behind, however it ends: processes, pods, clusters, namespaces, folders."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import psutil
import pytest
from runs import assert_agreement, command, labkit, notebook, until_there
from runs import clean as clean

from labkit import client, cluster, paths
from labkit.runner import lifeline
from processes import wait_until_gone


def test_a_process_that_a_notebook_leaves_behind_is_ended_and_told(tmp_path: Path) -> None:
    daemon = "import subprocess\nsubprocess.Popen(['sleep', '987'], start_new_session=True)"
    ended = labkit(notebook(tmp_path / "books", "a", daemon), "--out", tmp_path / "out")
    assert ended.returncode == 1
    assert "left behind and ended" in ended.stdout
    assert_agreement(ended, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(report["left_behind"]) == 1
    assert "sleep 987 (of a)" in report["left_behind"][0]
    assert report["notebooks"][0]["outcome"] == "passed", "its cells have run: it is the run that failed"
    assert ended.stdout.splitlines()[-1] == "1 passed, 1 failed"
    assert "sleep 987 (of a)" in (tmp_path / "out" / "report.html").read_text()
    assert "sleep 987 (of a)" in (tmp_path / "out" / "junit.xml").read_text()


FORK = """
import os, time
if os.fork() == 0:
    os.setsid()
    time.sleep(500)
"""


@pytest.mark.parametrize("portable", ["0", "1"], ids=["forked", "started"])
def test_a_process_that_a_notebook_has_forked_is_left_behind_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portable: str
) -> None:
    monkeypatch.setenv("LABKIT_PORTABLE", portable)
    ended = labkit(notebook(tmp_path / "books", "a", FORK), "--out", tmp_path / "out")
    assert ended.returncode == 1
    assert len(json.loads((tmp_path / "out" / "report.json").read_text())["left_behind"]) == 1
    assert_agreement(ended, tmp_path / "out")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_a_report_and_nothing_else(tmp_path: Path, number: signal.Signals) -> None:
    books = tmp_path / "books"
    started = tmp_path / "started"
    notebook(books, "a", f"open({str(started)!r}, 'w').close()\nimport time\ntime.sleep(100)")
    notebook(books, "b", "pass")
    process = until_there(started, command(books, "--out", tmp_path / "out", "--jobs", "1"))
    process.send_signal(number)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert_agreement(subprocess.CompletedProcess([], 130, said.decode()), tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [n["outcome"] for n in report["notebooks"]] == ["not-run", "not-run"]
    assert report["left_behind"] == []
    suite = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    assert suite.get("skipped") == "2"
    assert suite.get("errors") == "1", "the run was interrupted: CI systems take skipped cases for good ones"


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
    for words, count in (("kubelet_process --home", 2), ("server --home", 2), (f"sleep {seconds}", 1)):
        assert len([w for w in started_by_it.values() if words in w]) == count, started_by_it

    run.kill()
    run.communicate(timeout=60)
    wait_until_gone(started_by_it, 90)
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
        run.communicate(timeout=60)
        assert cluster.status("mine")["state"] == "running", "it does not live by the run"
        monkeypatch.setenv("KUBECONFIG", kubeconfig)
        assert [n for n in client.listing("namespace") if n["metadata"]["name"].startswith("nb-a-")]
        assert len(lifeline.sweep()) == 1
        left = [n for n in client.listing("namespace") if n["metadata"]["name"].startswith("nb-a-")]
        assert all("deletionTimestamp" in n["metadata"] for n in left)
        assert not list(tmp_path.glob("labkit-run-*"))
    finally:
        cluster.down("mine", purge=True)


WORKFLOW = """
import labkit.client as c
literal = "import os\\nfor folder in ('/tmp', '/var/tmp', '/dev/shm'):\\n    open(os.path.join(folder, 'left'), 'w').close()"
c.apply({'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'program'}, 'data': {'literal.py': literal}})
mounts = [{'name': 'data', 'mountPath': '/data'}, {'name': 'program', 'mountPath': '/program'}]
ingest = ['python', '-m', 'labkit.course.pipeline.ingest', '--dataset', 'digits', '--size', '300', '--out', '/data/sets']
path = {'name': 'url', 'valueFrom': {'path': '/tmp/outputs/url'}}
steps = [[{'name': 'ingest', 'template': 'ingest'}, {'name': 'literal', 'template': 'literal'}]]
name = c.apply({'apiVersion': 'argoproj.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': 'w'}, 'spec': {
    'entrypoint': 'main', 'templates': [
        {'name': 'main', 'steps': steps},
        {'name': 'ingest', 'outputs': {'parameters': [path]},
         'container': {'image': 'labkit/lab:1', 'command': ingest, 'volumeMounts': mounts[:1]}},
        {'name': 'literal', 'container': {
            'image': 'labkit/lab:1', 'command': ['python', '/program/literal.py'], 'volumeMounts': mounts[1:]}}],
    'volumes': [{'name': 'data', 'emptyDir': {}}, {'name': 'program', 'configMap': {'name': 'program'}}]}})
done = c.wait('workflow', 'w', lambda w: w.get('status', {}).get('phase') in ('Succeeded', 'Failed', 'Error'), timeout=100)
assert done['status']['phase'] == 'Succeeded', done['status']
urls = [n['outputs']['parameters'][0]['value'] for n in done['status']['nodes'].values() if n['displayName'] == 'ingest']
print(urls)
"""
IN_FOLDERS_OF_ITS_OWN = """
set -e
for folder in /tmp /var/tmp /dev/shm; do mount -t tmpfs none $folder; done
mkdir /tmp/test
cat > /tmp/test/a.ipynb
LABKIT_HOME=/tmp/test/home HOME=/tmp/test "$@" run /tmp/test/a.ipynb --out /tmp/test/out >&2
rm -r /tmp/test
find /tmp /var/tmp /dev/shm -mindepth 1
"""


@pytest.mark.parametrize(
    "portable", [pytest.param("0", id="isolated", marks=pytest.mark.slow), pytest.param("1", id="portable")]
)
def test_nothing_of_a_run_is_left_in_the_hosts_temporary_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portable: str
) -> None:
    """The run sees empty ones, which makes sure that what is found in them after it is its own."""
    alone = ["unshare", "--user", "--map-root-user", "--mount"] if os.getuid() else ["unshare", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("needs a mount namespace")
    if any(Path(place).is_relative_to("/tmp") for place in (sys.prefix, sys.base_prefix, paths.kit())):
        pytest.skip("labkit itself lies in /tmp")
    monkeypatch.setenv("LABKIT_PORTABLE", portable)
    monkeypatch.delenv("TMPDIR", raising=False)
    book = notebook(tmp_path, "a", WORKFLOW)
    program = [*alone, "sh", "-c", IN_FOLDERS_OF_ITS_OWN, "sh", str(Path(sys.executable).parent / "labkit")]
    with book.open() as source:
        ended = subprocess.run(program, stdin=source, capture_output=True, text=True, check=False, timeout=200)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""


@pytest.mark.slow
def test_a_run_that_cant_tidy_up_fails_though_its_notebooks_have_passed(tmp_path: Path) -> None:
    """A notebook stops the user's cluster, on which the run has a namespace."""
    cluster.up("mine")
    try:
        home = os.environ["LABKIT_HOME"]
        stop = (
            f"import os\nos.environ['LABKIT_HOME'] = {home!r}\nfrom labkit import cluster\nprint(cluster.down('mine'))"
        )
        ended = labkit(notebook(tmp_path / "books", "a", stop), "--out", tmp_path / "out", "--cluster", "mine")
        assert ended.returncode == 1
        assert_agreement(ended, tmp_path / "out")
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        assert [n["outcome"] for n in report["notebooks"]] == ["passed"], ended.stdout
        assert report["engine"] == "embedded"
        assert report["faults"][0].startswith("the run's namespaces are not deleted: ")
        assert "1 passed, the run's namespaces are not deleted in " in ended.stdout
    finally:
        cluster.down("mine", purge=True)
