"""A cluster that is not in order is nobody's wrong answer."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from labkit import checks, client, cluster, namespaces
from labkit.checks import health
from labkit.errors import LabError

POD = """
apiVersion: v1
kind: Pod
metadata: {name: odd}
spec:
  restartPolicy: Never
  containers: [{name: main, image: busybox, command: [sh, -c, "sleep 2"]}]
"""

pytestmark = pytest.mark.e2e
WORKFLOW = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: w-}
spec:
  entrypoint: main
  templates:
  - name: main
    container: {image: busybox, command: [sh, -c, "sleep 60"]}
"""


@pytest.fixture
def sick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A cluster of this test's own, which it may break."""
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.delenv("LABKIT_CLUSTER", raising=False)
    found = cluster.up("sick")
    monkeypatch.setenv("KUBECONFIG", found["kubeconfig"])
    yield "sick"
    cluster.down("sick", purge=True)


def kill(name: str, *parts: str) -> None:
    """End processes of the cluster so that nothing of it starts them again; return when they are gone."""
    processes = [psutil.Process(cluster.status(name)["daemons"][part]) for part in parts]
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs(processes, timeout=10)


def test_an_answer_is_not_judged_while_the_cluster_is_not_in_order(sick: str) -> None:
    assert health.trouble() == ""
    checks.create(POD, "Pod")
    checks.pod("odd")

    checks.create(POD.replace("sleep 2", "sleep 60"), "Pod")
    kill(sick, "kubelet")
    with pytest.raises(LabError, match="your answer was not judged") as caught:
        checks.pod("odd", timeout=3, runs=1)
    assert "labkit up" in caught.value.hint

    kill(sick, "server")
    with pytest.raises(LabError, match=r"your answer was not judged.*not running"):
        checks.create(POD, "Pod")

    cluster.up(sick)
    assert health.trouble() == ""
    checks.create(POD, "Pod")
    checks.pod("odd")

    cluster.stop_node("labkit", sick)
    checks.create(POD, "Pod")
    with pytest.raises(LabError, match=r"your answer was not judged.*node"):
        checks.pod("odd", timeout=1)


def test_a_workflow_that_lost_a_pod_with_its_machine_is_not_judged(sick: str) -> None:
    namespaces.prepare("default")
    verdicts: list[BaseException] = []

    def judge() -> None:
        try:
            checks.workflow(WORKFLOW, timeout=60)
        except (LabError, AssertionError) as verdict:
            verdicts.append(verdict)

    judging = threading.Thread(target=judge)
    judging.start()
    deadline = time.monotonic() + 30
    while not any(p["status"].get("phase") == "Running" for p in client.listing("pod")):
        assert time.monotonic() < deadline
        time.sleep(0.1)  # the pod's name is not known yet
    kill(sick, "kubelet")
    cluster.up(sick)
    judging.join(60)
    assert [type(verdict) for verdict in verdicts] == [LabError]
    assert "your answer was not judged" in str(verdicts[0])
