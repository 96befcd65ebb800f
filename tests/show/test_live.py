"""Live views on a real cluster: what a recorder saw of the pods, and workflows followed to their end, or after it."""

from __future__ import annotations

import io
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from IPython.core.interactiveshell import InteractiveShell
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image

from clusters import running_cluster
from kubeproc import engine
from labkit import client, namespaces, show
from labkit.errors import LabError
from labkit.show import live

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
# A Deployment that it owns, and a Job that has no ownerReference; both are gone, or over, when it ends.
MAKER = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: maker-}
spec:
  entrypoint: main
  onExit: tidy
  templates:
  - name: main
    steps:
    - - {name: serve, template: serve}
      - name: job
        template: job
        arguments: {parameters: [{name: which, value: sums}]}
  - name: tidy
    resource:
      action: delete
      manifest: |
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: "{{workflow.name}}-web"}
  - name: serve
    resource:
      action: apply
      setOwnerReference: true
      successCondition: status.readyReplicas = 2
      manifest: |
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: "{{workflow.name}}-web"
        spec:
          replicas: 2
          selector: {matchLabels: {app: "{{workflow.name}}"}}
          template:
            metadata: {labels: {app: "{{workflow.name}}"}}
            spec:
              terminationGracePeriodSeconds: 0
              containers: [{name: main, image: busybox, command: [sleep, "100"]}]
  - name: job
    inputs: {parameters: [{name: which}]}
    resource:
      action: create
      successCondition: status.succeeded = 1
      manifest: |
        apiVersion: batch/v1
        kind: Job
        metadata:
          generateName: "add-{{inputs.parameters.which}}-"
        spec:
          template:
            spec:
              restartPolicy: Never
              containers: [{name: main, image: busybox, command: ["true"]}]
"""
STUCK = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: stuck-}
spec:
  entrypoint: main
  templates:
  - name: main
    steps:
    - - {name: pull, template: pull}
      - {name: huge, template: huge}
      - {name: flaky, template: flaky, continueOn: {failed: true}}
  - name: pull
    container: {image: "busybocks:1", command: ["true"]}
  - name: huge
    container: {image: busybox, command: ["true"], resources: {requests: {memory: 900Gi}}}
  - name: flaky
    retryStrategy: {limit: "1"}
    container: {image: busybox, command: [sh, -c, "exit 3"]}
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

    class Handle:
        update = staticmethod(figures.append)

    def display(figure: Figure, **_: object) -> Handle:
        figures.append(figure)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setenv("LABKIT_RUN", "test")
    return figures


def create(name: str, command: str) -> None:
    client.apply(POD.replace("NAME", name).replace("COMMAND", command))


def submit(manifest: str) -> str:
    name: str = client.apply(manifest)[0]["metadata"]["name"]
    return name


def ended(pod: dict) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def words(figure: Figure) -> str:
    """All that a figure says."""
    texts = [*figure.texts, *(text for axes in figure.axes for text in [*axes.texts, *axes.get_yticklabels()])]
    return "\n".join(text.get_text() for text in texts)


def test_a_recorder_sees_each_phase_of_a_pod_in_order_and_none_of_the_past() -> None:
    create("before", "true")
    client.wait("pod", "before", ended, timeout=30)
    changed = threading.Event()

    def until(*wanted: tuple[str, str]) -> None:
        while sorted((pod.name, pod.phase) for pod in recorder.history.values()) != sorted(wanted):
            assert changed.wait(30), recorder.history
            changed.clear()

    with show.Recorder(changed=changed.set) as recorder:
        create("again", "sleep 100")
        until(("again", "Running"))
        client.remove("pod", "again")
        until(("again", "Removed"))
        create("again", "sleep 0.3")
        create("bad", "exit 3")
        until(("again", "Removed"), ("again", "Succeeded"), ("bad", "Failed"))
    assert len(recorder.history) == 3, "a pod that is made again is another one"
    for pod in recorder.history.values():
        times, phases = [at for at, _ in pod.changes], [phase for _, phase in pod.changes]
        assert times == sorted(times)
        assert phases == ["Pending", "Running", pod.phase]
    assert {pod.why for pod in recorder.history.values()} == {"", "exit code 3"}


def test_a_workflow_is_followed_to_its_end_and_drawn_once_where_nobody_looks(drawn: list[Figure]) -> None:
    create("leftover", "sleep 100")  # of another notebook
    name = submit(WORKFLOW)
    other = submit(yaml.safe_dump(yaml.safe_load(WORKFLOW) | {"metadata": {"name": f"{name}-2"}}))
    workflow, pods = show.follow(name, timeout=60)
    assert workflow["status"]["phase"] == "Succeeded"
    assert sorted(pod.label for pod in pods.history.values()) == ["first", "second"]
    assert len(drawn) == 1
    above, below = drawn[0].axes
    assert {"first", "second"} <= {text.get_text().partition("\n")[0] for text in above.texts}
    assert [text.get_text() for text in below.get_yticklabels()] == ["first", "second"]
    assert f"{name}: Succeeded; 2 of 2 step pods have succeeded" in words(drawn[0])
    assert not pyplot.get_fignums(), "no figure is left open"
    client.wait("workflow", other, lambda w: live.phase(w) == "Succeeded", timeout=60)
    client.remove("pod", "leftover")


def test_what_a_workflow_made_belongs_to_it_and_is_known_after_it_is_gone(drawn: list[Figure]) -> None:
    name = submit(MAKER)
    _, seen = show.follow(name, timeout=60)
    lives = sorted((pod.label, pod.outcome) for pod in seen.history.values())
    assert lives == [
        ("add-sums 1", "Succeeded"),
        ("job", "Succeeded"),
        ("serve", "Succeeded"),
        ("tidy", "Succeeded"),
        ("web 1", "Removed"),
        ("web 2", "Removed"),
    ]
    _, rebuilt = show.again(name)
    assert sorted((pod.label, pod.outcome) for pod in rebuilt.history.values()) == lives
    for uid, pod in rebuilt.history.items():
        assert abs(pod.began - seen.history[uid].began) < 2.5
        assert abs((pod.ended or 0) - (seen.history[uid].ended or 0)) < 2.5
    for pod in client.listing("pod", labels=f"workflows.argoproj.io/workflow={name}"):
        client.remove("pod", pod["metadata"]["name"])
    _, rest = show.again(name)
    assert sorted((pod.label, pod.outcome) for pod in rest.history.values()) == lives, "its nodes and events say it"
    assert len(drawn) == 3


def test_why_a_step_waits_or_failed_is_written_in_the_figure(drawn: list[Figure]) -> None:
    name = submit(STUCK)

    def stuck(workflow: dict) -> bool:
        nodes = {n["displayName"]: n for n in (workflow.get("status") or {}).get("nodes", {}).values()}
        waits = all("message" in nodes.get(step, {}) for step in ("pull", "huge"))
        return waits and nodes.get("flaky", {}).get("phase") == "Failed"

    client.wait("workflow", name, stuck, timeout=60)
    assert repr(show.again(name)) == f"workflow {name}: Running, 4 pods"
    said = words(drawn[0])
    assert re.search(r"pull waits: (ErrImagePull|ImagePullBackOff): .*\"busybocks:1\"", said)
    assert "huge waits: Unschedulable: 0/1 nodes are available: 1 Insufficient memory" in said
    assert "flaky\nfailed, 2 attempts" in said
    assert "exit code 3" in said
    assert f"to stop it: labkit.client.stop('{name}')" in said
    client.stop(name)
    workflow, _ = show.follow(name, timeout=60)
    assert live.phase(workflow) == "Failed"
    client.stop(name)  # what has ended stays as it is
    assert "to stop it" not in words(drawn[-1])
    with pytest.raises(LabError, match="no workflow 'nobody'"):
        client.stop("nobody")


def test_the_figure_keeps_its_size_while_one_looks(drawn: list[Figure], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_RUN")
    monkeypatch.setattr(live, "REDRAW_SECONDS", 0.05)
    monkeypatch.setattr(live, "SHARE", 0)
    show.follow(submit(MAKER.replace('["true"]', '["sleep", "1"]')), timeout=60)
    assert len(drawn) > 2
    names = [label.get_text() for label in drawn[-1].axes[1].get_yticklabels()]
    assert len({tuple(figure.get_size_inches()) for figure in drawn}) == 1, names


def test_as_many_pods_as_the_manifest_says_have_room() -> None:
    assert show.live.expected(yaml.safe_load(WORKFLOW)) == 2
    assert show.live.expected(yaml.safe_load(MAKER)) == 5, "a Job's one pod is not counted"
    endless = {"spec": {"entrypoint": "a", "templates": [{"name": "a", "steps": [[{"template": "a"}]]}]}}
    assert show.live.expected(endless) == 1


def test_an_interrupted_watch_says_in_one_sentence_that_the_workflow_goes_on(drawn: list[Figure]) -> None:
    name = submit(WORKFLOW.replace("sleep 0.2", "sleep 100"))

    def interrupt() -> None:
        client.wait("workflow", name, lambda w: live.phase(w) == "Running", timeout=120)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt) as stopped:
        show.follow(name, timeout=200)
    said = f"stopped watching; the workflow goes on: labkit.show.follow({name!r}) watches it again"
    assert str(stopped.value).startswith(said)
    assert stopped.value._render_traceback_() == [str(stopped.value)]  # type: ignore[attr-defined]
    assert live.phase(client.get("workflow", name) or {}) == "Running"
    client.remove("workflow", name)


def test_a_lost_picture_is_drawn_again_by_one_call(drawn: list[Figure], monkeypatch: pytest.MonkeyPatch) -> None:
    name = submit(WORKFLOW)
    show.follow(name, timeout=60)
    assert repr(show.again()) == repr(show.again(name)) == f"workflow {name}: Succeeded, 2 pods"
    assert len(drawn) == 3
    with pytest.raises(LabError, match="no workflow 'nobody'"):
        show.again("nobody")
    monkeypatch.setattr(live, "_last", [])
    with pytest.raises(LabError, match="has not followed"):
        show.again()


def test_a_workflow_that_does_not_end_in_time_or_is_not_there_is_an_error(drawn: list[Figure]) -> None:
    name = submit(WORKFLOW.replace("sleep 0.2", "sleep 100"))
    with pytest.raises(LabError, match=f"{name} has not ended after 1 s"):
        show.follow(name, timeout=1)
    deleter = threading.Timer(0.5, client.remove, ("workflow", name))
    deleter.start()
    with pytest.raises(LabError, match=f"{name} was deleted"):
        show.follow(name, timeout=60)
    deleter.join()
    with pytest.raises(LabError, match="no workflow 'nobody'"):
        show.follow("nobody", timeout=600)
    assert drawn == []


def test_a_workflow_that_was_made_again_under_its_name_is_another_one() -> None:
    name = submit(WORKFLOW.replace("sleep 0.2", "sleep 100"))
    view = live._View(client.get("workflow", name), client.namespace())
    client.remove("workflow", name)
    again = yaml.safe_load(WORKFLOW) | {"metadata": {"name": name}}
    client.apply(again)
    view._listed([client.get("workflow", name)])  # what a watch that was away finds
    assert view.deleted


def test_an_error_of_labkits_is_its_text_in_a_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    InteractiveShell().run_cell("from labkit import show; show.follow('nobody')")
    said, hint = capsys.readouterr().out.splitlines()
    assert said == "there is no workflow 'nobody' in the namespace 'default'"
    assert hint.startswith(("  hint: the workflows that exist: ", "  hint: there are no workflows yet"))


def test_a_dead_kubelet_and_a_dead_cluster_are_written_in_the_figure(
    tmp_path: Path, drawn: list[Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PATIENCE", 4)
    monkeypatch.delenv("LABKIT_RUN")
    with running_cluster(tmp_path) as folder:
        monkeypatch.setenv("KUBECONFIG", str(folder.kubeconfig))
        namespaces.prepare("default")
        daemons = engine.status(folder)["daemons"]
        os.kill(daemons["kubelet"], signal.SIGKILL)
        client.wait("node", "labkit", lambda n: n["status"]["conditions"][-1]["status"] == "Unknown", timeout=30)
        name = submit(WORKFLOW)
        not_ready = "The node labkit is not ready: Kubelet stopped posting node status."

        def kill() -> None:
            while not any(not_ready in words(figure) for figure in list(drawn)):
                time.sleep(0.05)  # a figure is drawn by the main thread
            os.kill(daemons["server"], signal.SIGKILL)

        threading.Thread(target=kill, daemon=True).start()
        with pytest.raises(LabError, match="the cluster has not answered for 4 s"):
            show.follow(name, timeout=60)
    said = "\n".join(words(figure) for figure in drawn)
    assert not_ready in said
    assert "`labkit up` starts it again" in said


def test_a_figure_is_as_large_at_its_end_as_before_when_a_notebook_has_cut_it() -> None:
    sizes = set()
    for until in (100.0, None):
        workflow = {
            "metadata": {"name": "w", "namespace": "n", "uid": "w"},
            "status": {"phase": "Running", "nodes": {}},
        }
        figure, file = show.picture(workflow, {}, until, slots=8), io.BytesIO()
        figure.savefig(file, format="png", bbox_inches="tight")
        pyplot.close(figure)
        sizes.add(Image.open(file).size)
    assert len(sizes) == 1
