"""`labkit up --nodes` and `labkit node stop|start` as a user types them: what is refused, what is said, what is remembered."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from kubernetes import client, config

from labkit import cluster, paths
from labkit.engines import nodes
from labkit.errors import LabError
from realkube.existing import existing_engine as existing


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a cluster `labkit` of two nodes; it is gone at the end."""
    with pytest.MonkeyPatch.context() as patch:
        found = tmp_path_factory.mktemp("home")
        patch.setenv("LABKIT_HOME", str(found))
        patch.delenv("LABKIT_CLUSTER", raising=False)
        patch.delenv("KUBECONFIG", raising=False)
        cluster.up(nodes=2, node_memory="1Gi")
        yield found
        cluster.down(purge=True)


def labkit(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "labkit.cli", *words], capture_output=True, text=True, timeout=90)


def core() -> client.CoreV1Api:
    return client.CoreV1Api(config.new_client_from_config(cluster.kubeconfig()))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nodes": 0}, "--nodes 0: a cluster has 1 to 20 nodes"),
        ({"nodes": 21}, "--nodes 21: a cluster has 1 to 20 nodes"),
        ({"node_cpus": 0}, "--node-cpus 0: a node has at least one CPU"),
        ({"node_memory": "4GiB"}, "--node-memory 4GiB: a node has at least 1Mi"),
        ({"node_memory": "-1Gi"}, "--node-memory -1Gi: a node has at least 1Mi"),
        ({"node_memory": "100"}, "--node-memory 100: a node has at least 1Mi"),
    ],
)
@pytest.mark.parametrize("engine", ["embedded", "kind"])
def test_machines_that_can_not_be_are_refused_before_anything_is_made(engine, options, words, monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    with pytest.raises(LabError, match=words.partition(":")[0]) as refused:
        cluster.up("a", engine, **options)
    assert refused.value.message.startswith(words)
    assert refused.value.hint
    assert not (tmp_path / "clusters" / "a" / "cluster.json").exists()


def test_a_cluster_keeps_the_machines_that_it_was_made_with(home):
    for options, words in (
        ({"nodes": 3}, "with nodes 2"),
        ({"node_memory": "2Gi"}, "with memory of a node 1Gi"),
        ({"node_cpus": 1}, "with CPUs of a node as this machine has"),
    ):
        with pytest.raises(LabError, match=words):
            cluster.up(**options)
    assert cluster.up(nodes=2)["nodes"] == {"labkit": "running", "labkit-2": "running"}
    cluster.down()
    assert cluster.status()["nodes"] == {"labkit": "stopped", "labkit-2": "stopped"}
    assert cluster.up()["nodes"] == {"labkit": "running", "labkit-2": "running"}


def test_stop_and_start_say_what_happened_and_status_shows_it(home):
    stopped = labkit("node", "stop", "labkit-2")
    assert (stopped.returncode, stopped.stdout) == (
        0,
        "cluster labkit: node labkit-2 is off: NotReady; no pods were lost\n",
    )
    taints = core().read_node("labkit-2").spec.taints
    assert [(t.value, t.effect) for t in taints if t.key == nodes.TAINT["key"]] == [("nodeshutdown", "NoExecute")]
    shown = labkit("status")
    assert shown.returncode == 1
    assert "state        degraded\n" in shown.stdout
    assert "nodes        labkit: running; labkit-2: stopped\n" in shown.stdout
    cluster.use()
    assert cluster.status()["state"] == "degraded", "who uses the cluster leaves its machines alone"
    started = labkit("node", "start", "labkit-2")
    assert (started.returncode, started.stdout) == (0, "cluster labkit: node labkit-2 is on: Ready\n")
    assert core().read_node("labkit-2").spec.taints is None
    assert labkit("node", "start", "labkit-2").stdout == started.stdout, "again: the same"


def test_who_uses_a_cluster_that_was_never_whole_has_it_made_whole_though_it_lacks_a_machine(home):
    cluster.stop_node("labkit-2")
    info = paths.cluster("labkit").info
    before = info.read_text()
    info.write_text(json.dumps(json.loads(before) | {"complete": False}))  # as kind's install leaves it, interrupted
    try:
        cluster.use()
    finally:
        info.write_text(before)
    assert cluster.status()["nodes"] == {"labkit": "running", "labkit-2": "running"}


def test_up_gives_every_machine_its_power_and_its_pods(home):
    for node in ("labkit", "labkit-2"):
        cluster.stop_node(node)
    assert str(cluster.stop_node("labkit")).endswith("; no other node is on: pods wait until one is")
    cluster.down()
    assert cluster.up()["nodes"] == {"labkit": "running", "labkit-2": "running"}
    assert [node.spec.taints for node in core().list_node().items] == [None, None]


def test_a_node_that_is_not_there_is_said_with_those_that_are(home):
    refused = labkit("node", "stop", "labkit-9")
    assert refused.returncode == 1
    assert (
        refused.stderr == "labkit: the cluster 'labkit' has no node 'labkit-9'\n  hint: its nodes: labkit, labkit-2\n"
    )


def test_a_cluster_that_does_not_run_has_no_machine_to_stop(home):
    cluster.down()
    with pytest.raises(LabError, match="the cluster 'labkit' is stopped"):
        cluster.stop_node("labkit")
    cluster.up()


def test_machines_that_are_not_labkit_s_are_left_alone(home):
    for engine in (existing, SimpleNamespace()):
        with pytest.raises(LabError, match="the machines of this cluster are not labkit's"):
            nodes.stop(engine, paths.cluster(), "labkit")  # type: ignore[arg-type]


def test_a_node_is_one_of_the_cluster_that_kubectl_speaks_to(home, monkeypatch):
    assert cluster.spoken_to() == "labkit"
    other = paths.cluster("other")
    other.root.mkdir(parents=True)
    monkeypatch.setenv("KUBECONFIG", str(other.kubeconfig))
    assert cluster.spoken_to() == "other"
    with pytest.raises(LabError, match="no cluster named 'other'"):
        cluster.stop_node("labkit-2")
    other.root.rmdir()
    for others in ("/etc/kubernetes/admin.conf", "/home/ada/.kube/config", "/tmp/labkit-run-_1/nb.kubeconfig"):
        monkeypatch.setenv("KUBECONFIG", others)
        assert cluster.spoken_to() == "labkit", f"{others} is somebody else's"


def test_the_same_size_in_other_words_is_the_same(home):
    assert cluster.up(node_memory="1024Mi")["state"] == "running"


@pytest.mark.parametrize(
    ("engine", "option", "has"), [("embedded", "context", "existing"), ("existing", "nodes", "kind")]
)
def test_an_option_that_an_engine_lacks_is_told_with_who_has_it(engine, option, has, monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    with pytest.raises(LabError, match=f"has no --{option}") as refused:
        cluster.up("a", engine, **{option: 2 if option == "nodes" else "x"})
    assert has in refused.value.hint
