"""kubectl's verbs over the official clients, on a whole cluster."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path

import pytest

from labkit import client
from labkit.errors import LabError

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  labels: {{app: {name}}}
spec:
  restartPolicy: Never
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: {image}
    command: {command}
    ports: [{{containerPort: 8080, name: http}}]
    readinessProbe: {{tcpSocket: {{port: http}}, periodSeconds: 1}}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
"""


@pytest.fixture(autouse=True)
def connected(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster))


def pod(name: str, command: str, image: str = "busybox") -> str:
    return POD.format(name=name, command=command, image=image)


def test_apply_creates_and_applies_again_and_delete_removes() -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}}
    client.apply(manifest)
    client.apply(manifest | {"data": {"a": "2"}})
    assert (client.get("configmap", "m") or {})["data"] == {"a": "2"}
    client.delete(manifest)
    client.delete(manifest)  # gone already: no error
    assert client.get("configmap", "m") is None


def test_what_has_a_generated_name_is_created_each_time() -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "g-", "labels": {"g": "y"}}}
    names = {client.apply(manifest)[0]["metadata"]["name"] for _ in range(2)}
    assert names == {m["metadata"]["name"] for m in client.listing("configmap", labels="g=y")}


def test_a_manifest_that_is_no_manifest_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [1\n")
    with pytest.raises(LabError, match=r"bad\.yaml is not YAML"):
        client.apply(bad)
    bad.write_text("kind: Pod\n")
    with pytest.raises(LabError, match=r"bad\.yaml, document 1: no apiVersion"):
        client.apply(bad)
    with pytest.raises(LabError, match="can't be read"):
        client.apply(tmp_path / "absent.yaml")


def test_what_got_its_name_from_the_cluster_is_deleted_by_that_name() -> None:
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "many-"}}
    kept = client.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}})
    with pytest.raises(LabError, match="generateName 'many-' has no name") as error:
        client.delete([wanted, *kept])
    assert "what apply returned" in error.value.hint
    assert client.get("configmap", "kept"), "nothing is deleted of a list that can't be"
    made = client.apply(wanted)
    client.delete([*made, *kept])
    assert client.get("configmap", made[0]["metadata"]["name"]) is None


def test_a_refusal_is_told_in_the_apis_words() -> None:
    with pytest.raises(LabError, match=r"spec\.containers"):
        client.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}})
    with pytest.raises(LabError, match="no kind Rocket"):
        client.apply({"apiVersion": "v1", "kind": "Rocket", "metadata": {"name": "p"}})


def test_wait_returns_the_object_and_logs_are_read() -> None:
    client.apply(pod("says", "[echo, hello]"))
    found = client.wait("pod", "says", lambda p: p["status"].get("phase") == "Succeeded", timeout=20)
    assert found["metadata"]["name"] == "says"
    assert "".join(client.logs("says")) == "hello\n"
    assert "Scheduled" in {e["reason"] for e in client.events("says")}


def test_a_wait_in_vain_says_what_was_seen() -> None:
    client.apply(pod("stuck", "[echo]", image="nowhere/nothing:9"))
    with pytest.raises(LabError, match=r"waited 2 s in vain for its end(.|\n)*ErrImage|ImagePull"):
        client.wait("pod", "stuck", lambda p: False, timeout=2, what="its end")


def test_a_killed_program_ends_by_the_signal() -> None:
    client.apply(pod("victim", "[sleep, '60']"))
    client.wait("pod", "victim", lambda p: p["status"].get("phase") == "Running", timeout=20)
    assert client.kill("victim") > 1
    ended = client.wait("pod", "victim", lambda p: p["status"].get("phase") == "Failed", timeout=20)
    assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137


def is_ready(found: dict) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in found["status"].get("conditions", []))


def test_a_service_is_reached_by_its_address_and_by_a_forwarded_port() -> None:
    client.apply(SERVICE)
    client.apply(pod("web", "[sh, -c, 'exec python3 -m http.server ${PORT:-8080}']", image="python:3.11"))
    client.wait("pod", "web", is_ready, timeout=30)
    with client.forward("web") as forwarded:
        for where in (client.address("web"), forwarded):
            with urllib.request.urlopen(f"http://{where}/", timeout=10) as answer:
                assert answer.status == 200
    host, port = forwarded.split(":")
    with pytest.raises(ConnectionRefusedError):  # the port lives as long as the block
        socket.create_connection((host, int(port)), timeout=5).close()
    with pytest.raises(LabError, match="there is no Service absent"):
        client.address("absent")


def test_the_argo_client_has_the_clusters_address() -> None:
    from argo_workflows.api.info_service_api import InfoServiceApi

    assert InfoServiceApi(client.argo()).get_version(_check_return_type=False)["version"].startswith("v3.7")


def test_no_cluster_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(LabError, match="no cluster to talk to") as caught:
        client.listing("pod")
    assert "labkit up" in caught.value.hint
