"""The engine on a real cluster: one is made for the whole file, and its creation is killed in the middle first."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from labkit import client, cluster, namespaces, paths
from labkit.errors import LabError
from realkube.kind import access, image_transfer, node_containers
from realkube.programs import Kube
from work_queue import keeps_its_work

from .conftest import NAME

pytestmark = [pytest.mark.kind, pytest.mark.timeout(1200)]


def kube() -> Kube:
    return Kube(paths.cluster(NAME).kubeconfig)


def test_a_docker_that_goes_away_in_mid_create_is_told_with_its_remedy(abandoned: tuple[int, str]) -> None:
    code, said = abandoned
    assert code == 1
    assert "Cannot connect to the Docker daemon" in said or "Is the docker daemon running" in said
    assert "hint: start Docker" in said
    assert "Traceback" not in said


def test_up_that_was_killed_in_mid_create_is_finished_by_the_next(killed: dict, made: dict) -> None:
    assert made["state"] == "running"
    assert list(made["nodes"]) == list(killed), "the same name, made anew"
    assert set(made["nodes"].values()) == {"running"}


def test_its_api_is_bound_to_loopback_and_its_files_are_private(made: dict) -> None:
    node = next(iter(made["nodes"]))
    said = subprocess.run(["docker", "port", node], capture_output=True, text=True, check=True).stdout
    assert said.split("->")[1].strip() == made["api"].removeprefix("https://")
    assert said.count("->") == 1, "nothing else is published"
    assert made["api"].startswith("https://127.0.0.1:")
    for path in (Path(made["kubeconfig"]), access.admin(paths.cluster(NAME))):
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_users_own_kubeconfig_is_never_touched(made: dict, foreign: Path) -> None:
    assert foreign.read_text() == "apiVersion: v1\nkind: Config\ncurrent-context: production\n"
    assert made["kubeconfig"] != str(foreign)


def test_a_second_up_finds_nothing_to_do(made: dict) -> None:
    def system() -> list[str]:
        uid = "jsonpath={.items[*].metadata.uid}"
        return [kube()("get", "pods", "-n", space, "-o", uid) for space in node_containers.SYSTEM]

    before = system()
    assert cluster.up(NAME)["state"] == "running", "without naming the engine"
    assert system() == before


def test_another_number_of_nodes_or_kubernetes_is_refused(made: dict) -> None:
    with pytest.raises(LabError, match="with nodes 1"):
        cluster.up(NAME, nodes=2)
    with pytest.raises(LabError, match=r"with Kubernetes 1\.34"):
        cluster.up(NAME, kubernetes="1.33")


def test_an_image_that_was_built_here_runs_there(made: dict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LABKIT_CLUSTER", NAME)
    (tmp_path / "Dockerfile").write_text("FROM busybox:1.36\nENV WORDS='made here'\n")
    subprocess.run(["docker", "build", "-q", "-t", "labkit-test:1", str(tmp_path)], check=True, capture_output=True)
    try:
        assert client.load("labkit-test:1") == "labkit-test:1"
        archive = tmp_path / "image.tar"
        subprocess.run(["docker", "save", "labkit-test:1", "-o", str(archive)], check=True)
        assert client.load(str(archive)) == "labkit-test:1"
    finally:
        subprocess.run(["docker", "rmi", "labkit-test:1"], check=True, capture_output=True)
    with pytest.raises(LabError, match="Docker has no image 'labkit-test:2'"):
        client.load("labkit-test:2")
    shell = ["run", "words", "--image=labkit-test:1", "--restart=Never", "--command", "--", "sh", "-c", "echo $WORDS"]
    kube()(*shell)
    kube()("wait", "pod/words", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert kube()("logs", "words").strip() == "made here"


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted")
def test_a_full_disk_is_told_and_the_image_can_be_loaded_when_there_is_room(
    made: dict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (node,) = made["nodes"]
    send = partial(image_transfer.send, "busybox:1.36", "docker.io/library/busybox:full", [node])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "small", tmp_path], check=True)
    try:
        with monkeypatch.context() as small:
            small.setenv("LABKIT_HOME", str(tmp_path))
            with pytest.raises(LabError, match="no space left") as caught:
                send()
        assert "set LABKIT_HOME" in caught.value.hint, "it is not Docker's disk"
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    send()


def test_artifacts_are_kept_in_a_namespace_that_labkit_prepared(made: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", made["kubeconfig"])
    namespaces.prepare("kept")
    steps = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: kept}
spec:
  entrypoint: main
  templates:
  - name: main
    steps:
    - - {name: write, template: write}
    - - name: read
        template: read
        arguments: {artifacts: [{name: number, from: "{{steps.write.outputs.artifacts.number}}"}]}
  - name: write
    container: {image: "busybox:1.36", command: [sh, -c, "echo 42 >/tmp/number"]}
    outputs: {artifacts: [{name: number, path: /tmp/number}]}
  - name: read
    inputs: {artifacts: [{name: number, path: /tmp/read}]}
    container: {image: "busybox:1.36", command: [sh, -c, "test $(cat /tmp/read) = 42"]}
"""
    client.apply(steps, namespace="kept")
    ended = client.wait(
        "workflow", "kept", lambda w: w.get("status", {}).get("finishedAt"), timeout=180, namespace="kept"
    )
    assert ended["status"]["phase"] == "Succeeded", ended["status"].get("message")


def test_the_work_queue_of_the_lab_image_keeps_its_work(made: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", made["kubeconfig"])
    keeps_its_work(Path(made["kubeconfig"]))


def test_a_node_that_does_not_get_ready_is_told_with_its_conditions_and_last_words(made: dict) -> None:
    node = next(iter(made["nodes"]))
    subprocess.run(["docker", "exec", node, "systemctl", "stop", "kubelet"], check=True)
    try:
        with pytest.raises(LabError, match="nodes are not ready after 3 s") as caught:
            node_containers.await_nodes(
                kube(), node_containers.kind_name(paths.cluster(NAME)), {node: time.time()}, seconds=3
            )
    finally:
        subprocess.run(["docker", "exec", node, "systemctl", "start", "kubelet"], check=True)
    assert "Ready=" in caught.value.message
    assert "MemoryPressure=False" in caught.value.message
    assert f"{node} (running):" in caught.value.message, "its log"


def test_down_keeps_the_state_and_a_taken_port_is_told(made: dict) -> None:
    kube()("create", "configmap", "note", "--from-literal=text=remember me")
    assert cluster.down(NAME)
    assert cluster.status(NAME)["state"] == "stopped"
    port = int(made["api"].rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)), pytest.raises(LabError) as caught:
        cluster.up(NAME)
    assert "another program has taken the API's port" in caught.value.hint
    assert cluster.up(NAME)["state"] == "running"
    assert kube()("get", "configmap", "note", "-o", "jsonpath={.data.text}") == "remember me"


def test_a_cluster_that_was_deleted_behind_labkits_back_is_made_anew(made: dict) -> None:
    subprocess.run(["docker", "rm", "-f", "-v", *made["nodes"]], check=True, capture_output=True)
    assert cluster.status(NAME)["state"] == "deleted"
    assert cluster.up(NAME)["state"] == "running"
    assert "note" not in kube()("get", "configmaps", "-o", "name")


def test_purge_leaves_nothing(made: dict) -> None:
    name, root = node_containers.kind_name(paths.cluster(NAME)), paths.cluster(NAME).root
    assert cluster.down(NAME, purge=True)
    assert node_containers.containers(name) == {}
    assert not root.exists()
    assert not cluster.down(NAME)
