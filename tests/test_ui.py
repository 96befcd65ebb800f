"""`labkit ui`: where there is none it says what shows the same, where there is one it is forwarded until Ctrl-C.

The embedded cluster has no Argo UI; a web server under its Service's name stands there for the forward. The real one is
looked at in tests/kind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from accounts import allow, hand_out
from labkit import client, cluster, ui
from labkit.errors import LabError
from processes import interruptible
from realkube.existing import rights
from realkube.programs import Kube

WEB = """
apiVersion: v1
kind: Namespace
metadata: {name: argo}
---
apiVersion: v1
kind: Service
metadata: {name: argo-server, namespace: argo}
spec:
  selector: {app: argo-server}
  ports: [{port: 2746, targetPort: web}]
---
apiVersion: v1
kind: Pod
metadata: {name: argo-server, namespace: argo, labels: {app: argo-server}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: python:3.11
    command: [sh, -c, 'exec python3 -m http.server --bind "${HOST:-0.0.0.0}" "${PORT:-2746}"']
    ports: [{name: web, containerPort: 2746}]
    readinessProbe: {tcpSocket: {port: web}, periodSeconds: 1}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a cluster `labkit` of two nodes."""
    with pytest.MonkeyPatch.context() as patch:
        found = tmp_path_factory.mktemp("home")
        patch.setenv("LABKIT_HOME", str(found))
        for name in ("LABKIT_CLUSTER", "KUBECONFIG"):
            patch.delenv(name, raising=False)
        patch.setenv("KUBECONFIG", cluster.up(nodes=2)["kubeconfig"])
        yield found
        cluster.down(purge=True)


@contextmanager
def forwarded() -> Iterator[tuple[str, str]]:
    """(address, all that was said) of `labkit ui`, until Ctrl-C."""
    command = [sys.executable, "-m", "labkit.cli", "ui", "--no-browser"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=interruptible
    )
    assert process.stdout
    said = ""
    try:
        for line in process.stdout:
            said += line
            if line.startswith("Ctrl-C"):
                break
        else:
            raise AssertionError(process.communicate()[1])
        yield said.split("/")[2], said
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
    finally:
        process.kill()
        process.communicate()


def test_a_cluster_without_it_says_what_shows_the_same(home: Path) -> None:
    with pytest.raises(LabError, match="this cluster has no Argo UI") as caught:
        ui.open(browser=False)
    assert "labkit status --watch" in caught.value.hint


def test_who_looks_at_a_drill_does_not_end_it(home: Path) -> None:
    cluster.stop_node("labkit-2")
    try:
        with pytest.raises(LabError, match="this cluster has no Argo UI"):
            ui.open(browser=False)
        assert cluster.status()["nodes"] == {"labkit": "running", "labkit-2": "stopped"}
    finally:
        cluster.start_node("labkit-2")


def test_it_is_forwarded_until_ctrl_c(home: Path) -> None:
    client.apply(WEB)
    client.wait(
        "pod", "argo-server", lambda p: p["status"].get("containerStatuses", [{}])[0].get("ready"), namespace="argo"
    )
    with forwarded() as (address, said):
        assert address.startswith("127.0.0.1:")
        with urlopen(f"http://{address}/", timeout=10) as answer:
            assert b"Directory listing" in answer.read()
        assert client.api().configuration.get_api_key_with_prefix("authorization") in said
    with pytest.raises(OSError, match="refused"):
        urlopen(f"http://{address}/", timeout=10)


def test_who_may_not_reach_it_is_told_which_rights_it_takes(home: Path, tmp_path: Path, monkeypatch) -> None:
    admin = Kube(Path(cluster.kubeconfig()))
    theirs = hand_out(admin, tmp_path / "config", "default", "guest")
    monkeypatch.setenv("KUBECONFIG", str(theirs))
    admin.apply(rights.ROLE.read_text(), "-n", "default")
    admin("create", "rolebinding", "guest", "--role=course-user", "--serviceaccount=default:guest")
    cluster.up("theirs", "existing", context="guest")
    try:
        with pytest.raises(LabError, match='services "argo-server" is forbidden'):
            ui.open("theirs", browser=False)
        monkeypatch.setenv("KUBECONFIG", str(theirs))
        allow(admin, "argo", "guest", [{"apiGroups": [""], "resources": ["services"], "verbs": ["get"]}], of="default")
        with pytest.raises(LabError, match="the Argo UI can't be reached: 403 Forbidden") as caught:
            ui.open("theirs", browser=False)
        assert "kubectl auth can-i --list -n argo" in caught.value.hint
    finally:
        cluster.down("theirs", purge=True)


def test_a_cluster_that_is_stopped_is_to_be_started(home: Path) -> None:
    cluster.down()
    with pytest.raises(LabError, match="the cluster 'labkit' is stopped") as caught:
        ui.open(browser=False)
    assert caught.value.hint == "labkit up --name labkit starts it"
