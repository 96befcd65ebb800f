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


def manifest(tasks: int) -> dict[str, Any]:
    task = {"image": "busybox:1.36", "command": ["echo"], "args": ["{{inputs.parameters.number}}"]}
    number = {"parameters": [{"name": "number", "value": "{{item}}"}]}
    each = {"name": "each", "template": "task", "arguments": number, "withSequence": {"count": str(tasks)}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "hundred-"},
        "spec": {
            "entrypoint": "main",
            "templates": [
                {"name": "main", "steps": [[each]]},
                {"name": "task", "inputs": {"parameters": [{"name": "number"}]}, "container": task},
            ],
        },
    }


def milliseconds_a_task(cluster: Running) -> float:
    """From the request to the workflow's success, divided by the number of tasks."""
    from kubernetes.client import CustomObjectsApi
    from kubernetes.watch import Watch

    custom = CustomObjectsApi(cluster.api)
    begun = time.perf_counter()
    name = custom.create_namespaced_custom_object(*GROUP, manifest(TASKS))["metadata"]["name"]
    for event in Watch().stream(
        custom.list_namespaced_custom_object, *GROUP, field_selector=f"metadata.name={name}", timeout_seconds=600
    ):
        phase = event["object"].get("status", {}).get("phase")
        if phase in ("Succeeded", "Failed", "Error"):
            assert phase == "Succeeded", event["object"]["status"].get("message")
            return 1000 * (time.perf_counter() - begun) / TASKS
    raise TimeoutError(f"workflow {name} did not end within 600 s")


def measure(runs: int) -> list[Row]:
    from kubernetes.utils import create_from_yaml

    with running() as cluster:
        create_from_yaml(cluster.api, str(ACCESS), namespace="default")
        milliseconds_a_task(cluster)
        ours = Samples([milliseconds_a_task(cluster) for _ in range(runs)], "ms a task")
    return [Row(f"a workflow of {TASKS} one-line tasks", ours, "under 50 ms a task", under(ours, 50))]
