"""`labkit up`, `down`, `status` as a user types them: idempotent, private, and mended by the next command."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from kubernetes import client, config

from kubeproc import info
from labkit import cluster, paths
from labkit.errors import LabError
from processes import is_alive


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A home of its own; every cluster in it is gone at the end."""
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.delenv("LABKIT_CLUSTER", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    yield tmp_path
    for folder in (tmp_path / "clusters").glob("*"):
        cluster.down(folder.name, purge=True)


def labkit(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "labkit.cli", *words], capture_output=True, text=True, timeout=90)


def core(name: str) -> client.CoreV1Api:
    return client.CoreV1Api(config.new_client_from_config(cluster.kubeconfig(name)))


def test_up_down_and_up_again_keeps_the_state(home: Path) -> None:
    first = labkit("up", "--name", "a")
    assert first.returncode == 0, first.stderr
    assert f"export KUBECONFIG={home}/clusters/a/kubeconfig" in first.stdout
    core("a").create_namespaced_config_map("default", {"metadata": {"name": "kept"}})
    before = cluster.status("a")
    assert cluster.up("a")["daemons"] == before["daemons"], "a second up changes nothing"

    assert labkit("down", "--name", "a").stdout == "cluster a: stopped, its state kept\n"
    stopped = labkit("status", "--name", "a", "-o", "json")
    assert (stopped.returncode, json.loads(stopped.stdout)["state"]) == (1, "stopped")
    assert not any(is_alive(pid) for pid in before["daemons"].values())

    cluster.up("a")
    assert core("a").read_namespaced_config_map("kept", "default")
    assert labkit("kubeconfig", "--name", "a").stdout.strip() == cluster.kubeconfig("a")
    assert labkit("down", "--purge", "--name", "a").returncode == 0
    assert not (home / "clusters" / "a").exists()


def test_two_clusters_of_one_user_never_meet(home: Path) -> None:
    ports = {cluster.up(name)["api"] for name in ("a", "b")}
    assert len(ports) == 2
    core("a").create_namespaced_config_map("default", {"metadata": {"name": "mine"}})
    assert "mine" not in {m.metadata.name for m in core("b").list_namespaced_config_map("default").items}
    configuration = client.Configuration()
    config.load_kube_config(cluster.kubeconfig("b"), client_configuration=configuration)
    stolen = client.Configuration()
    config.load_kube_config(cluster.kubeconfig("a"), client_configuration=stolen)
    stolen.refresh_api_key_hook = None
    stolen.api_key = configuration.api_key  # the one's token shown to the other
    with pytest.raises(client.ApiException) as refused:
        client.CoreV1Api(client.ApiClient(stolen)).list_node()
    assert refused.value.status == 401


def test_secrets_are_private_and_nothing_answers_but_on_loopback(home: Path) -> None:
    before = os.umask(0)
    try:
        found = cluster.up("a")
    finally:
        os.umask(before)
    folder = paths.cluster("a")
    logs = [folder.log / f"{name}.log" for name in ("kubelet", "server", "warm")]
    for path in (folder.kubeconfig, folder.key, folder.tokens, *folder.root.glob("state.db*"), *logs):
        assert path.stat().st_mode & 0o077 == 0, path
    assert folder.root.stat().st_mode & 0o077 == 0
    for pid in found["daemons"].values():
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            listening = [c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
            assert set(listening) <= {"127.0.0.1"}, process
    port = int(found["api"].rpartition(":")[2])
    for address in other_addresses():
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex((address, port)) != 0, f"the API answers on {address}"


def other_addresses() -> list[str]:
    """IPv4 addresses of this host that are not loopback."""
    found = [a.address for each in psutil.net_if_addrs().values() for a in each if a.family == socket.AF_INET]
    return [address for address in found if not address.startswith("127.")]


def test_a_killed_server_is_started_again_with_all_it_had_acknowledged(home: Path) -> None:
    server = cluster.up("a")["daemons"]["server"]
    core("a").create_namespaced_config_map("default", {"metadata": {"name": "kept"}})
    os.kill(server, signal.SIGKILL)
    while is_alive(server):
        time.sleep(0.01)  # a signal takes effect when the process is scheduled
    found = cluster.up("a")
    assert found["state"] == "running"
    assert found["daemons"]["server"] != server
    assert core("a").read_namespaced_config_map("kept", "default")


def test_a_killed_kubelet_comes_back_with_the_next_command(home: Path) -> None:
    kubelet = cluster.up("a")["daemons"]["kubelet"]
    os.kill(kubelet, signal.SIGKILL)
    psutil.Process(kubelet).wait(5)
    assert cluster.status("a")["state"] == "degraded"
    assert cluster.use("a") == cluster.kubeconfig("a")
    assert cluster.status("a")["state"] == "running"


CLIENTS_FIRST = """
from kubernetes import client, config
from kubeflow.training import TrainingClient
from labkit import cluster
cluster.use("a")
config.load_kube_config()
print([n.metadata.name for n in client.CoreV1Api().list_node().items], TrainingClient(job_kind="TFJob").list_jobs())
"""


def test_clients_that_were_imported_before_are_on_the_cluster_that_is_used(home: Path) -> None:
    cluster.up("a")
    (home / ".kube").mkdir()
    (home / ".kube" / "config").write_text("not the one")
    said = subprocess.run(
        [sys.executable, "-c", CLIENTS_FIRST], env=os.environ | {"HOME": str(home)}, capture_output=True, text=True
    )
    assert said.stdout == "['labkit'] []\n", said.stderr


def test_a_port_that_is_taken_is_named(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = labkit("up", "--name", "a", "--port", port)
    assert said.returncode == 1
    assert f"port {port} is taken" in said.stderr
    assert "hint:" in said.stderr


def test_a_cluster_that_is_not_there_is_one_clear_error(home: Path) -> None:
    for command in ("kubeconfig", "logs"):
        said = labkit(command, "--name", "nobody")
        assert said.returncode == 1
        assert "there is no cluster named 'nobody'" in said.stderr
        assert "hint: labkit up" in said.stderr
    assert labkit("down", "--name", "nobody").stdout == "cluster nobody: nothing to stop\n"


def test_an_engine_that_is_not_there_is_one_clear_error(home: Path) -> None:
    with pytest.raises(LabError, match="there is no engine 'nomad'"):
        cluster.up("a", "nomad")


def test_a_damaged_description_is_named(home: Path) -> None:
    folder = paths.cluster("a")
    paths.own(folder.root)
    folder.info.write_text("{")
    with pytest.raises(LabError, match=r"cluster\.json is damaged"):
        cluster.status("a")
    folder.info.unlink()


def test_a_home_that_cant_be_written_is_one_clear_error(home: Path) -> None:
    (home / "file").write_text("")
    said = subprocess.run(
        [sys.executable, "-m", "labkit.cli", "up"],
        env=os.environ | {"LABKIT_HOME": str(home / "file" / "x")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 1
    assert "file/x" in said.stderr
    assert "hint: set LABKIT_HOME" in said.stderr
    assert "Traceback" not in said.stderr


def test_wrong_words_end_with_two() -> None:
    assert labkit("fly").returncode == 2


def test_importing_labkit_never_imports_tensorflow() -> None:
    modules = "labkit, labkit.cluster, labkit.client, labkit.cli, labkit.runner, kubeproc.server, labkit.checks"
    code = f"import sys, {modules}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_deleting_by_force_does_not_reach_what_a_link_leads_to(tmp_path: Path) -> None:
    precious, folder = tmp_path / "precious", tmp_path / "volume"
    precious.write_text("mine")
    precious.chmod(0o640)
    folder.mkdir()
    for name, target in (("link", precious), ("dangling", tmp_path / "nothing")):
        (folder / name).symlink_to(target)
        info._delete_by_force(os.unlink, str(folder / name), None)
    assert not any(folder.iterdir())
    assert precious.stat().st_mode & 0o777 == 0o640
