"""A workflow of one hundred tasks that do next to nothing: what orchestration costs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.clusters import Running, running
from benchmarks.measure import Row, Samples, under

TASKS = 100
ACCESS = Path(__file__).parent.parent / "workflows" / "access.yaml"
GROUP = ("argoproj.io", "v1alpha1", "default", "workflows")


TASK = {"image": "busybox:1.36", "command": ["echo"], "args": ["{{inputs.parameters.number}}"]}
Object = dict[str, Any]


def loop(tasks: int) -> Object:
    """Tasks side by side: one step that loops."""
    return _manifest({"steps": [[_task("each", "{{item}}", withSequence={"count": str(tasks)})]]})


def layers(tasks: int, side: int = 10) -> Object:
    """A DAG in which `side` tasks after the other wait for the `side` before them."""
    names = [f"t{n}" for n in range(tasks)]
    made = []
    for n, name in enumerate(names):
        first = n // side * side
        made.append(_task(name, str(n), dependencies=names[max(first - side, 0) : first]))
    return _manifest({"dag": {"tasks": made}})


def _task(name: str, number: str, **more: Any) -> Object:
    arguments = {"parameters": [{"name": "number", "value": number}]}
    return {"name": name, "template": "task", "arguments": arguments, **more}


def _manifest(main: Object) -> Object:
    task = {"name": "task", "inputs": {"parameters": [{"name": "number"}]}, "container": TASK}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "many-"},
        "spec": {"entrypoint": "main", "templates": [{"name": "main", **main}, task]},
    }


def allow(cluster: Running) -> None:
    """Give workflows of the namespace what they may do."""
    from kubernetes.utils import create_from_yaml

    create_from_yaml(cluster.api, str(ACCESS), namespace="default")


def milliseconds_a_task(cluster: Running, made: Object | None = None) -> float:
    """From the request to the workflow's success, divided by the number of its pods."""
    from kubernetes.client import CustomObjectsApi
    from kubernetes.watch import Watch

    custom = CustomObjectsApi(cluster.api)
    begun = time.perf_counter()
    name = custom.create_namespaced_custom_object(*GROUP, made or loop(TASKS))["metadata"]["name"]
    for event in Watch().stream(
        custom.list_namespaced_custom_object, *GROUP, field_selector=f"metadata.name={name}", timeout_seconds=600
    ):
        status = event["object"].get("status", {})
        if status.get("phase") in ("Succeeded", "Failed", "Error"):
            taken = time.perf_counter() - begun
            assert status["phase"] == "Succeeded", status.get("message")
            _delete(cluster, name)
            return 1000 * taken / sum(node["type"] == "Pod" for node in status["nodes"].values())
    raise TimeoutError(f"workflow {name} did not end within 600 s")


def _delete(cluster: Running, name: str) -> None:
    """Delete a workflow, and return when its pods are gone: what comes next is not to be measured with it."""
    from kubernetes.client import CoreV1Api, CustomObjectsApi

    CustomObjectsApi(cluster.api).delete_namespaced_custom_object(*GROUP, name)
    core, mine = CoreV1Api(cluster.api), f"workflows.argoproj.io/workflow={name}"
    while core.list_namespaced_pod(GROUP[2], label_selector=mine, limit=1).items:
        time.sleep(0.1)


def measure(runs: int) -> list[Row]:
    with running() as cluster:
        allow(cluster)
        milliseconds_a_task(cluster)
        ours = Samples([milliseconds_a_task(cluster) for _ in range(runs)], "ms a task")
    return [Row(f"a workflow of {TASKS} one-line tasks", ours, "under 30 ms a task", under(ours, 30))]
