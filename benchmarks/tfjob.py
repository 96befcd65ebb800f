"""A TFJob of one chief, two workers and two parameter servers, beside the same five processes started cold."""

from __future__ import annotations

import copy
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.clusters import Running, running
from benchmarks.measure import Row, Samples, in_turn

WORKFLOWS = Path(__file__).parent.parent / "workflows"
GROUP = ("kubeflow.org", "v1", "default", "tfjobs")
STEPS = "40"


def warm_up(cluster: Running) -> None:
    """Have the data in the claim, by the course's own job, which also warms TensorFlow."""
    from labkit import client

    client.apply(WORKFLOWS / "claim.yaml")
    client.apply(WORKFLOWS / "job-ingest.yaml")
    client.wait("job", "ingest", lambda job: (job.get("status") or {}).get("succeeded"), timeout=120, what="its data")


def job(name: str) -> dict[str, Any]:
    """The course's TFJob, with two servers, few steps and a folder of its own to write to."""
    found = copy.deepcopy(yaml.safe_load((WORKFLOWS / "tfjob-parameter-server.yaml").read_text()))
    found["metadata"]["name"] = name
    replicas = found["spec"]["tfReplicaSpecs"]
    replicas["PS"]["replicas"] = 2
    for spec in replicas.values():
        (container,) = spec["template"]["spec"]["containers"]
        words = container["args"] = list(container["args"])
        words[words.index("--out") + 1] = f"/data/runs/{name}"
        words[words.index("--steps") + 1] = STEPS
    return found


def create_to_succeeded(cluster: Running, name: str) -> float:
    """Seconds from the request until the job's condition Succeeded is seen."""
    from kubernetes.client import CustomObjectsApi

    from labkit import client

    def ended(found: dict[str, Any]) -> str:
        conditions = {c["type"]: c["status"] for c in (found.get("status") or {}).get("conditions") or []}
        assert conditions.get("Failed") != "True", found["status"]
        return (conditions.get("Succeeded", "") == "True" and "yes") or ""

    begun = time.perf_counter()
    CustomObjectsApi(cluster.api).create_namespaced_custom_object(*GROUP, job(name))
    client.wait("tfjob", name, ended, timeout=120, what="its success")
    return time.perf_counter() - begun


def started_cold(data: Path, out: Path) -> float:
    """Seconds for the same program as five processes of this machine, until the chief has ended."""
    parts = ["chief", "worker", "worker", "ps", "ps"]
    ports = free_ports(len(parts))
    cluster: dict[str, list[str]] = {}
    for part, port in zip(parts, ports, strict=True):
        cluster.setdefault(part, []).append(f"127.0.0.1:{port}")
    words = job("cold")["spec"]["tfReplicaSpecs"]["Chief"]["template"]["spec"]["containers"][0]["args"]
    words[words.index("--data") + 1], words[words.index("--out") + 1] = str(data), str(out)
    begun = time.perf_counter()
    processes = []
    for number, part in enumerate(parts):
        task = {"type": part, "index": number - parts.index(part)}
        environment = os.environ | {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task}), "HOST": "127.0.0.1"}
        command = [sys.executable, "-m", "labkit.course.training", *words]
        processes.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
    try:
        assert processes[0].wait(120) == 0
        return time.perf_counter() - begun
    finally:
        for process in processes:
            process.kill()
            process.wait()
        shutil.rmtree(out, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def measure(runs: int) -> list[Row]:
    with running() as cluster, tempfile.TemporaryDirectory() as folder:
        warm_up(cluster)
        claim = Path(cluster.status["folder"]) / "volumes" / "default" / "labkit-data"
        (data,) = (claim / "sets").iterdir()
        numbers = iter(range(1000))
        create_to_succeeded(cluster, "first")
        mine, theirs, ratios = in_turn(
            lambda: create_to_succeeded(cluster, f"job-{next(numbers)}"),
            lambda: started_cold(data, Path(folder) / "out"),
            runs,
        )
    ours, cold = Samples(mine, "s"), Samples(theirs, "s")
    what = "TFJob of 1 chief, 2 workers, 2 servers, create to Succeeded"
    fast = ours.median < 3 and sorted(ratios)[len(ratios) // 2] >= 4
    return [Row(what, ours, "under 3 s, 4 times faster", fast, "five cold processes", cold, ratios=ratios)]
