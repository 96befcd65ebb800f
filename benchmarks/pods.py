"""From the request for a pod until a watch says that it runs, with and without what only Linux has."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.clusters import Running, running
from benchmarks.measure import Row, Samples, under

PODS = 20


def pod(name: str) -> dict[str, Any]:
    container = {"name": "main", "image": "busybox:1.36", "command": ["sleep", "60"]}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"metadata": {"name": name}, "spec": spec}


def create_to_running(cluster: Running, name: str) -> float:
    """Milliseconds, one pod."""
    from kubernetes.client import CoreV1Api
    from kubernetes.watch import Watch

    core = CoreV1Api(cluster.api)
    begun = time.perf_counter()
    core.create_namespaced_pod("default", pod(name))
    for event in Watch().stream(
        core.list_namespaced_pod, "default", field_selector=f"metadata.name={name}", timeout_seconds=30
    ):
        if event["object"].status.phase == "Running":
            taken = time.perf_counter() - begun
            core.delete_namespaced_pod(name, "default")
            return 1000 * taken
    raise TimeoutError(f"pod {name} did not run within 30 s")


def measure(runs: int) -> list[Row]:
    rows = []
    for what, limit, environment in (
        ("pod, create to Running", 50, {}),
        ("pod, create to Running, portable", 200, {"LABKIT_PORTABLE": "1"}),
    ):
        with running(environment=environment) as cluster:
            create_to_running(cluster, "first")
            ours = Samples([create_to_running(cluster, f"pod-{n}") for n in range(PODS * runs // 5)], "ms")
        rows.append(Row(what, ours, f"under {limit} ms", under(ours, limit)))
    return rows
