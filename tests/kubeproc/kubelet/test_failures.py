"""The server or the kubelet killed while pods run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from clusters import Kube, container, phase, processes_of, running_cluster
from kubeproc import engine
from kubeproc.errors import HintedError
from kubeproc.folder import ClusterFolder


@pytest.fixture(params=["linux", "portable"])
def folder(request, tmp_path):
    with running_cluster(tmp_path, request.param == "portable") as folder:
        yield folder


def kill(folder: ClusterFolder, name: str) -> int:
    pid = engine.daemon(folder, name).pid
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=5)
    return pid


def until(holds, seconds: float = 15):
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := holds():
                return found
        except (HTTPError, ApiException):
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_pods_run_on_when_the_server_is_killed(folder: ClusterFolder):
    kube = Kube(folder, "default")
    kube.pod("long", ["sleep", "60"])
    kube.pod("ends", ["sh", "-c", "sleep 1; exit 7"])
    kube.running("long")
    kube.running("ends")
    pid = kill(folder, "server")
    until(lambda: engine.daemon(folder, "server").pid not in (0, pid))
    pod = until(lambda: (p := kube.get("ends")) and phase(p) == "Failed" and p)
    assert container(pod)["state"]["terminated"]["exitCode"] == 7
    assert phase(kube.get("long")) == "Running"
    assert container(kube.get("long"))["restartCount"] == 0
    kube.core.delete_namespaced_pod("long", "default")
    kube.gone("long")


def test_pods_die_with_the_kubelet_and_are_marked(folder: ClusterFolder):
    kube = Kube(folder, "default")
    kube.pod("once", ["sh", "-c", "sleep 60 & sleep 61"])
    kube.running("once")
    started = [p for p in processes_of(folder) if p.pid != engine.daemon(folder, "server").pid]
    kill(folder, "kubelet")
    _, left = psutil.wait_procs(started, timeout=5)
    assert not [p for p in left if p.status() != psutil.STATUS_ZOMBIE]
    pod = until(lambda: (p := kube.get("once")) and phase(p) == "Failed" and p)
    assert pod["status"]["reason"] == "NodeLost"
    engine.up(folder)
    kube.pod("again", ["true"])
    assert phase(kube.ended("again")) == "Succeeded"


def test_pods_that_restart_are_back_after_the_cluster_was_down(folder: ClusterFolder):
    kube = Kube(folder, "default")
    kube.pod("always", ["sleep", "60"], restartPolicy="Always")
    kube.pod("never", ["sleep", "60"])
    kube.running("always")
    kube.running("never")
    engine.down(folder)
    engine.up(folder)
    kube = Kube(folder, "default")
    pod = kube.until("always", lambda p: "running" in container(p)["state"] and container(p)["restartCount"] == 1)
    assert container(pod)["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert phase(kube.ended("never")) == "Failed"


def test_a_kubelet_waits_for_a_server_that_is_there_but_does_not_answer(tmp_path):
    with running_cluster(tmp_path) as folder:
        engine.down(folder)
        held = f"lock.hold(Path({str(folder.run / 'server.lock')!r}), 'server')"
        code = f"import time; from pathlib import Path; from kubeproc import lock; f = {held}; time.sleep(3)"
        with subprocess.Popen([sys.executable, "-c", code]):
            until(lambda: engine.daemon(folder, "server").alive)
            engine.up(folder)
        kube = Kube(folder, "default")
        kube.pod("again", ["true"])
        assert phase(kube.ended("again")) == "Succeeded"


def test_a_server_that_cannot_start_is_told_within_seconds(tmp_path):
    folder = ClusterFolder(tmp_path / "c")
    folder.root.mkdir()
    folder.database.write_bytes(b"this is no database" * 100)
    began = time.monotonic()
    with pytest.raises(HintedError, match=r"state\.db is damaged"):
        engine.up(folder)
    assert time.monotonic() - began < 20
    assert not engine.daemon(folder, "server").alive
