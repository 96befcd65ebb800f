"""Ports that are open to others are told by `labkit status`, for as long as they are."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from kubernetes import client

from clusters import running_cluster, space
from kubeproc import exposed
from kubeproc.folder import ClusterFolder

PROGRAM = """
import json, os
import tensorflow as tf
config = json.loads(os.environ["TF_CONFIG"])
tf.distribute.Server(config["cluster"], job_name="worker", task_index=config["task"]["index"]).join()
"""
KIND = ("kubeflow.org", "v1")


def job(name: str, replicas: int, command: list[str]) -> dict[str, object]:
    container = {"name": "tensorflow", "image": "labkit/lab:1", "command": command}
    worker = {
        "replicas": replicas,
        "template": {"spec": {"containers": [container], "terminationGracePeriodSeconds": 1}},
    }
    spec = {"runPolicy": {"cleanPodPolicy": "All"}, "tfReplicaSpecs": {"Worker": worker}}
    return {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a cluster whose pods share this machine's network."""
    with running_cluster(tmp_path_factory.mktemp("shared"), network="shared") as folder:
        yield folder.kubeconfig


def status(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> list[str]:
    """The notes of `labkit status`."""
    (home / "clusters").mkdir(exist_ok=True)
    if not (link := home / "clusters" / "mine").exists():
        link.symlink_to(kubeconfig.parent)
    monkeypatch.setenv("LABKIT_HOME", str(home))
    words = [sys.executable, "-m", "labkit.cli", "status", "--name", "mine"]
    said = subprocess.run(words, capture_output=True, text=True, timeout=60).stdout.splitlines()
    return [line.partition(" ")[2].strip() for line in said if line.startswith("note ")]


def answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


def test_status_names_tensorflows_ports_while_a_distributed_training_runs(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kube = space(ClusterFolder(cluster.parent), "exposed")
    api = client.CustomObjectsApi(kube.api)
    assert status(cluster, monkeypatch, tmp_path) == []
    api.create_namespaced_custom_object(*KIND, kube.namespace, "tfjobs", job("alone", 1, ["sleep", "100"]))
    kube.running("alone-worker-0", 30)
    assert status(cluster, monkeypatch, tmp_path) == [], "one replica has no server"

    api.create_namespaced_custom_object(*KIND, kube.namespace, "tfjobs", job("two", 2, ["python", "-c", PROGRAM]))
    pods = [kube.running(f"two-worker-{number}", 60) for number in range(2)]
    ports = sorted(pod["spec"]["containers"][0]["ports"][0]["hostPort"] for pod in pods)
    (note,) = status(cluster, monkeypatch, tmp_path)
    assert "open on every interface" in note
    assert note.endswith(f": {', '.join(exposed.spans(ports))}")
    for address in other_addresses():  # it says the truth
        deadline = time.monotonic() + 30
        while not answers(address, ports[0]):
            assert time.monotonic() < deadline
            time.sleep(0.1)  # TensorFlow says to nobody that it listens

    api.delete_namespaced_custom_object(*KIND, kube.namespace, "tfjobs", "two")
    for number in range(2):
        kube.gone(f"two-worker-{number}", 60)
    assert status(cluster, monkeypatch, tmp_path) == []


def other_addresses() -> list[str]:
    """IPv4 addresses of this host that are not loopback."""
    found = [a.address for all in psutil.net_if_addrs().values() for a in all if a.family == socket.AF_INET]
    return [address for address in found if not address.startswith("127.")]


def test_consecutive_ports_are_printed_as_a_range() -> None:
    assert exposed.spans([1, 3, 4, 5, 9]) == ["1", "3-5", "9"]
