"""In a notebook of `labkit lab`, a cluster that does not answer and a wait that was interrupted are one line each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from labkit import cluster, lab

USE = """
from labkit import client, cluster
from kubernetes import client as official, config, watch
config.load_kube_config(cluster.use())
core = official.CoreV1Api()
"""
RAW = "import os, ssl, urllib.request, yaml\nurllib.request.urlopen(SERVER, context=ssl._create_unverified_context())"
SERVER = "SERVER = yaml.safe_load(open(os.environ['KUBECONFIG']))['clusters'][0]['cluster']['server']"
INTERRUPT = "import os, signal, threading\nthreading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
WATCH = INTERRUPT + "for _ in watch.Watch().stream(core.list_namespaced_pod, 'default', timeout_seconds=60): pass"
WAIT = INTERRUPT + "client.wait('pod', 'nobody', lambda pod: True, timeout=60)"


def run(home: Path, *cells: str) -> list[tuple[str, list[str]]]:
    """What each cell printed, and the lines of its error; as `labkit lab` would run it with a cluster `a`."""
    environment = {"LABKIT_HOME": str(home), "LABKIT_CLUSTER": "a", "KUBECONFIG": cluster.kubeconfig("a")}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    gone = ("LABKIT_RUN",)
    kept = {key: value for key, value in os.environ.items() if key not in gone}
    NotebookClient(notebook, timeout=90, allow_errors=True).execute(env=kept | environment, cwd=str(home))
    return [(_printed(cell.outputs), _failed(cell.outputs)) for cell in notebook.cells]


def _printed(outputs: list) -> str:
    return "".join(o.text for o in outputs if o.output_type == "stream")


def _failed(outputs: list) -> list[str]:
    return [line for o in outputs if o.output_type == "error" for text in o.traceback for line in text.splitlines()]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    cluster.up("a")
    yield tmp_path
    cluster.down("a", purge=True)


def test_a_stopped_cluster_is_one_line_wherever_it_is_met_and_use_starts_it(home: Path) -> None:
    first, down, official, own, forwarded, raw, use, after, bug = run(
        home,
        USE,
        "cluster.down('a')",
        "core.list_node()",
        "client.listing('pod')",
        "client.argo()",
        f"import os, yaml\n{SERVER}\n{RAW}",
        "_ = cluster.use()",
        "core.list_node().items[0].metadata.name",
        "1 / 0",
    )
    assert (first, down, after) == (("", []), ("", []), ("", []))
    for printed, error in (official, own, forwarded, raw):
        assert printed == ""
        (line,) = error
        assert line.startswith("the cluster does not answer at 127.0.0.1:")
        assert "run labkit.cluster.use(), which starts it" in line
    assert use[0].startswith("The cluster 'a' was stopped: started in ")
    assert len(bug[1]) > 3, "any other error looks as it always does"
    assert "division by zero" in bug[1][-1]


def test_an_interrupted_wait_and_a_cluster_that_was_made_anew_and_a_program_that_is_gone_are_one_line(
    home: Path,
) -> None:
    _, interrupted, waited, _, other, again, gone = run(
        home,
        USE,
        WATCH,
        WAIT,
        "cluster.down('a', purge=True)\n_ = cluster.use()",
        "core.list_node()",
        USE + "_ = client.listing('node') + core.list_node().items",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:1/')",
    )
    stopped = "stopped waiting; what runs on the cluster goes on: kubectl get pods,workflows shows it"
    assert interrupted == waited == ("", [stopped])
    (line,) = other[1]
    assert line.startswith("this is not the cluster that the notebook began with: run the notebook from its first cell")
    assert again == ("", [])
    assert len(gone[1]) == 1


PLAIN = "from kubernetes import client, config\nconfig.load_kube_config()\nclient.CoreV1Api().list_namespaced_pod('default')"
UNTOLD = "from kubernetes import client\nclient.CoreV1Api().list_namespaced_pod('default')"


def test_the_first_cell_of_a_new_kernel_is_one_line_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(lab.kernels()))
    monkeypatch.setenv("KUBECONFIG", cluster.kubeconfig("a"))
    cluster.down("a")
    untold, plain, none, use, after = run(
        home,
        UNTOLD,
        PLAIN,
        "config.load_kube_config('/nowhere/config')",
        "from labkit import cluster\nconfig.load_kube_config(cluster.use())",
        "client.CoreV1Api().list_namespaced_pod('default').items",
    )
    for _, error in (untold, plain, none):
        assert len(error) == 1, error
    assert "no kubeconfig was loaded: run kubernetes.config.load_kube_config(" in untold[1][0]
    assert plain[1][0].startswith("the cluster does not answer at 127.0.0.1:")
    assert "labkit.cluster.use()" in none[1][0]
    assert "Invalid kube-config file. No configuration found" in none[1][0]
    assert use[0].startswith("The cluster 'a' was stopped: started in ")
    assert after[1] == []


def test_a_check_before_its_answer_says_which_cell_to_run_and_a_bug_in_an_answer_is_shown(home: Path) -> None:
    _, check, typo, called, inside = run(
        home,
        USE,
        "from labkit import checks\nchecks.returned(answer, 1, 'an answer')",
        "print(anser)",
        "def answer():\n    return anser",
        "from labkit import checks\nchecks.expect(answer() == 1, 'no')",
    )
    assert check[1] == [
        "`answer` has no value yet: run the cells above, your answer's too, then this check again (%tb shows where)"
    ]
    assert len(typo[1]) > 1
    assert called[1] == []
    assert len(inside[1]) > 1
