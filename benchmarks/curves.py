"""What a thing costs where there are many of it: of tasks in a workflow, pods on a node, objects in a list, nodes in a figure.

What is linear costs the same apiece however many there are; the table shows each at three sizes.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from typing import Any

import psutil

from benchmarks import workflow
from benchmarks.api import connection
from benchmarks.clusters import Running, running
from benchmarks.measure import Row, Samples, under
from benchmarks.pods import pod

TASKS, CHAIN = (100, 400, 1000), (25, 100, 300)
PODS = (10, 50, 110)  # a node takes 110
OBJECTS = (100, 1000, 10_000)
NODES = (30, 100, 300)


def measure(runs: int) -> list[Row]:
    rows: list[Row] = []
    with running() as cluster:
        workflow.allow(cluster)
        workflow.milliseconds_a_task(cluster, workflow.loop(10))
        rows += _curve("a loop of {} one-line tasks", TASKS, "ms a task", 30, runs,
                       lambda n: workflow.milliseconds_a_task(cluster, workflow.loop(n)), cluster)  # fmt: skip
        rows += _curve("a DAG of {} tasks, ten side by side", TASKS, "ms a task", 30, runs,
                       lambda n: workflow.milliseconds_a_task(cluster, workflow.layers(n)), cluster)  # fmt: skip
        rows += _curve("a chain of {} tasks", CHAIN, "ms a task", 100, runs,
                       lambda n: workflow.milliseconds_a_task(cluster, workflow.layers(n, side=1)), cluster)  # fmt: skip
    with running() as cluster:
        rows += _curve(
            "{} pods, create to Running", PODS, "ms a pod", 50, runs, lambda n: all_running(cluster, n), cluster
        )
    with running() as cluster:
        for size in OBJECTS:
            fill(cluster, size)
            for what, more in (("list", ""), ("watch", "&watch=true&timeoutSeconds=60")):
                rows += _curve(f"{what} {{}} ConfigMaps", (size,), "µs an object", 200, runs,
                               lambda n, more=more: read(cluster, n, more))  # fmt: skip
    rows += _curve("a figure of a workflow of {} nodes", NODES, "ms a node", 20, runs, picture)
    return rows


def _curve(
    what: str,
    sizes: tuple[int, ...],
    unit: str,
    limit: float,
    runs: int,
    once: Callable[[int], float],
    cluster: Running | None = None,
) -> list[Row]:
    """A row of each size. With a `cluster` it says what its daemons have spent apiece, which another load does not change."""
    rows = []
    for size in sizes:
        before = spent(cluster)
        ours = Samples([once(size) for _ in range(runs)], unit)
        each = 1000 * (spent(cluster) - before) / runs / size
        peer = f"{each:.1f} ms" if cluster else ""
        rows.append(Row(what.format(f"{size:,}"), ours, f"under {limit:g} {unit}", under(ours, limit), peer))
    return rows


def spent(cluster: Running | None) -> float:
    """The seconds of CPU that the cluster's server and kubelet have used."""
    if cluster is None:
        return 0.0
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in cluster.status["daemons"].values())


# -- pods --------------------------------------------------------------------------------------------------------------


def all_running(cluster: Running, count: int) -> float:
    """Milliseconds a pod until the last of `count` runs."""
    from kubernetes.client import CoreV1Api
    from kubernetes.watch import Watch

    core = CoreV1Api(cluster.api)
    begun = time.perf_counter()
    for n in range(count):
        core.create_namespaced_pod("default", pod(f"pod-{n}"))
    running: set[str] = set()
    for event in Watch().stream(core.list_namespaced_pod, "default", timeout_seconds=120):
        if event["object"].status.phase == "Running":
            running.add(event["object"].metadata.name)
        if len(running) == count:
            break
    taken = time.perf_counter() - begun
    assert len(running) == count, f"{len(running)} of {count} pods run after 120 s"
    core.delete_collection_namespaced_pod("default")
    while core.list_namespaced_pod("default", limit=1).items:
        time.sleep(0.1)
    return 1000 * taken / count


# -- objects -----------------------------------------------------------------------------------------------------------

MAPS = "/api/v1/namespaces/default/configmaps"


def _headers(cluster: Running) -> dict[str, str]:
    token = cluster.api.configuration.get_api_key_with_prefix("authorization")
    return {"Authorization": token, "Content-Type": "application/json"}


def fill(cluster: Running, count: int) -> None:
    """Have `count` ConfigMaps altogether in the namespace."""
    writer, headers = connection(cluster), _headers(cluster)
    writer.request("GET", MAPS, headers=headers)
    there = len(json.loads(writer.getresponse().read())["items"])
    for n in range(there, count):
        body = json.dumps({"metadata": {"name": f"map-{n}"}, "data": {"a": "b"}})
        writer.request("POST", MAPS, body, headers)
        answer = writer.getresponse()
        answer.read()
        assert answer.status == 201, answer.status


def read(cluster: Running, count: int, more: str) -> float:
    """Microseconds an object, until all that are there have come through a list, or a watch from the start."""
    reader = connection(cluster)
    begun = time.perf_counter()
    reader.request("GET", f"{MAPS}?resourceVersion=0{more}", headers=_headers(cluster))
    answer = reader.getresponse()
    if more:
        found = [json.loads(answer.readline()) for _ in range(count)]
    else:
        found = json.loads(answer.read())["items"]
    taken = time.perf_counter() - begun
    reader.close()
    assert len(found) == count, f"{len(found)} of {count}"
    return 1e6 * taken / count


# -- a figure ----------------------------------------------------------------------------------------------------------


def picture(count: int) -> float:
    """Milliseconds a node for one drawing of `labkit.show`, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from labkit import plotting, show

    name, stamp = "wf", "2026-01-01T00:00:00Z"
    common = {"type": "Pod", "phase": "Succeeded", "boundaryID": name, "startedAt": stamp, "finishedAt": stamp}
    nodes: dict[str, Any] = {name: {"id": name, "name": name, "displayName": name, "type": "DAG", "phase": "Running",
                                    "startedAt": stamp, "children": []}}  # fmt: skip
    for n in range(count):
        node = {"id": f"{name}-{n}", "name": f"{name}.t{n}", "displayName": f"t{n}", "children": [], **common}
        nodes[node["id"]] = node
        above = range((n // 10 - 1) * 10, n // 10 * 10) if n >= 10 else []
        for parent in [nodes[f"{name}-{i}"] for i in above] or [nodes[name]]:
            parent["children"].append(node["id"])
    drawn = {
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "status": {"phase": "Running", "startedAt": stamp, "nodes": nodes},
    }
    history = {
        f"{n}": plotting.Pod(f"{n}", f"{name}-{n}", [(n, "Pending"), (n + 1, "Running"), (n + 2, "Succeeded")])
        for n in range(count)
    }
    begun = time.perf_counter()
    figure = show.picture(drawn, history, slots=count)
    figure.savefig(io.BytesIO(), format="png")
    pyplot.close(figure)
    return 1000 * (time.perf_counter() - begun) / count
