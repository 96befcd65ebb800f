"""Live views on a real cluster: what a recorder saw of the pods, and a workflow followed to its end."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from labkit import client, namespaces, show
from labkit.errors import LabError

WORKFLOW = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: tiny-}
spec:
  entrypoint: main
  templates:
  - name: main
    dag:
      tasks:
      - {name: first, template: step}
      - {name: second, template: step, depends: first}
  - name: step
    container: {image: busybox, command: [sh, -c, "sleep 0.2"]}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: busybox, command: [sh, -c, "COMMAND"]}]
"""

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", autouse=True)
def connected(cluster: Path) -> Iterator[None]:
    before = os.environ.get("KUBECONFIG")
    os.environ["KUBECONFIG"] = str(cluster)
    namespaces.prepare("default")
    yield
    os.environ.pop("KUBECONFIG") if before is None else os.environ.update(KUBECONFIG=before)


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were displayed."""
    figures: list[Figure] = []
    monkeypatch.setattr("IPython.display.display", lambda figure, **_: figures.append(figure))
    monkeypatch.setenv("LABKIT_RUN", "test")
    return figures


def create(name: str, command: str) -> None:
    client.apply(POD.replace("NAME", name).replace("COMMAND", command))


def ended(pod: dict) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def test_a_recorder_sees_each_phase_of_a_pod_in_order_and_none_of_the_past() -> None:
    create("before", "true")
    client.wait("pod", "before", ended, timeout=30)
    changed = threading.Event()
    with show.Recorder(changed=changed.set) as recorder:
        create("removed", "sleep 100")
        while "removed" not in recorder.history:
            assert changed.wait(30), "the watch has begun"
            changed.clear()
        create("good", "sleep 0.3")
        create("bad", "exit 3")
        client.wait("pod", "removed", lambda p: p["status"].get("phase") == "Running", timeout=30)
        client.remove("pod", "removed")
        last = {"good": "Succeeded", "bad": "Failed", "removed": "Deleted"}
        while {name: recorder.history.get(name, [(0, "")])[-1][1] for name in last} != last:
            assert changed.wait(30), recorder.history
            changed.clear()
    assert set(recorder.history) == set(last), "what had ended before is not in it"
    for name, changes in recorder.history.items():
        times, phases = [at for at, _ in changes], [phase for _, phase in changes]
        assert times == sorted(times)
        assert [p for p in ("Pending", "Running") if p in phases] + [last[name]] == phases


def test_a_workflow_is_followed_to_its_end_and_drawn_once_where_nobody_looks(drawn: list[Figure]) -> None:
    name = client.apply(WORKFLOW)[0]["metadata"]["name"]
    workflow, pods = show.follow(name, timeout=60)
    assert workflow["status"]["phase"] == "Succeeded"
    mine = [n["displayName"] for n in workflow["status"]["nodes"].values() if n["type"] == "Pod"]
    assert sorted(mine) == ["first", "second"]
    assert len([pod for pod in pods.history if pod.startswith(name)]) == 2
    assert len(drawn) == 1
    above = drawn[0].axes[0]
    assert {"first", "second"} <= {text.get_text().partition("\n")[0] for text in above.texts}
    assert not pyplot.get_fignums(), "no figure is left open"


def test_a_workflow_that_does_not_end_in_time_or_is_not_there_is_told(drawn: list[Figure]) -> None:
    name = client.apply(WORKFLOW.replace("sleep 0.2", "sleep 100"))[0]["metadata"]["name"]
    with pytest.raises(LabError, match=name):
        show.follow(name, timeout=1)
    client.remove("workflow", name)
    with pytest.raises(LabError, match="nobody"):
        show.follow("nobody", timeout=1)
    assert drawn == []
