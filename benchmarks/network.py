"""Pods that have a network of their own, beside pods that share this machine's: both clusters are up, and measured in turn.

A pod of the first is started with two interfaces, routes and a DNS server's address more; its connections cross them, and those
to a Service one more process, as on the other cluster.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from benchmarks import pods, startup, tfjob
from benchmarks.clusters import Running, running
from benchmarks.measure import Row, Samples, in_turn, under

PODS = 10  # of each kind, for each run
MEGABYTES = 400
SERVER = f"""
import os, socket, threading
def serve(sock):
    with sock:
        while word := sock.recv(1):
            if word == b"p":
                sock.sendall(b"p")
            else:
                for _ in range({MEGABYTES}):
                    sock.sendall(bytes(1 << 20))
door = socket.create_server((os.environ.get("HOST", ""), int(os.environ.get("PORT", "7000"))))
while True:
    threading.Thread(target=serve, args=(door.accept()[0],), daemon=True).start()
"""
ASKER = f"""
import os, socket, sys, time
def connected(host, port):
    deadline = time.monotonic() + 20
    while True:
        try:
            sock = socket.create_connection((host, port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(b"p"); assert sock.recv(1) == b"p"
            return sock
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
for host, port in (sys.argv[1].split(":"), (os.environ["BENCH_SERVICE_HOST"], os.environ["BENCH_SERVICE_PORT"])):
    begun = time.perf_counter()
    for _ in range(200):
        connected(host, int(port)).close()
    made = time.perf_counter() - begun
    with connected(host, int(port)) as sock:
        begun = time.perf_counter()
        for _ in range(2000):
            sock.sendall(b"p"); sock.recv(1)
        trip = time.perf_counter() - begun
        begun, left = time.perf_counter(), {MEGABYTES} << 20
        sock.sendall(b"m")
        while left:
            left -= len(sock.recv(min(left, 1 << 20)))
        print(made / 200 * 1e6, trip / 2000 * 1e6, {MEGABYTES} / (time.perf_counter() - begun))
"""


def measure(runs: int) -> list[Row]:
    rows = [_up(runs)]
    with running(network="shared") as shared, running(network="pods", outside=False) as own:
        row = _beside("pod, create to Running", "ms", PODS * runs, lambda n, on: _pod(on, n), own, shared)
        rows.append(replace(row, promise="under 50 ms", holds=under(row.ours, 50)))
        for cluster in (own, shared):
            with cluster.used():
                tfjob.warm_up(cluster)
        row = _beside("TFJob of five, create to Succeeded", "s", 4 * runs, lambda n, on: _tfjob(on, n), own, shared)
        most = bound(row.ratios)
        rows.append(replace(row, promise=f"ratio under 1.2 at 95 % (is {most:.3g})", holds=most < 1.2))
        rows += _traffic(runs, own, shared)
    return rows


def _beside(
    what: str, unit: str, count: int, once: Callable[[int, Running], float], own: Running, shared: Running
) -> Row:
    numbers = iter(range(10_000))
    once(next(numbers), own)
    once(next(numbers), shared)
    ours, theirs, ratios = in_turn(lambda: once(next(numbers), own), lambda: once(next(numbers), shared), count)
    slower = sorted(1 / ratio for ratio in ratios)
    return Row(what, Samples(ours, unit), "", None, "shared", Samples(theirs, unit), ratios=slower)


def bound(ratios: Sequence[float]) -> float:
    """The upper 95 % bound of the ratios' geometric mean, by Student's t on their logarithms."""
    from scipy import stats

    logs = [math.log(ratio) for ratio in ratios]
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(statistics.mean(logs) + float(stats.t.ppf(0.95, len(logs) - 1)) * error)


def _up(runs: int) -> Row:
    ours, theirs, ratios = in_turn(
        lambda: startup.up_and_call("embedded", "--network", "pods"), lambda: startup.up_and_call("embedded"), runs
    )
    samples = Samples(ours, "s")
    row = (
        "`labkit up` to the first API call",
        samples,
        "under 1 s",
        samples.median < 1,
        "shared",
        Samples(theirs, "s"),
    )
    return Row(*row, ratios=sorted(1 / ratio for ratio in ratios))


def _pod(cluster: Running, number: int) -> float:
    return pods.create_to_running(cluster, f"pod-{number}")


def _tfjob(cluster: Running, number: int) -> float:
    with cluster.used():
        return tfjob.create_to_succeeded(cluster, f"job-{number}")


# -- traffic -----------------------------------------------------------------------------------------------------------


def _traffic(runs: int, own: Running, shared: Running) -> list[Row]:
    found = {name: [_talk(cluster, n) for n in range(runs)] for name, cluster in (("own", own), ("shared", shared))}
    rows = []
    for way, place in (("pod to pod", 0), ("through a Service", 1)):
        for what, unit, at in (
            ("a connection and a byte", "µs", 0),
            ("a round trip", "µs", 1),
            ("one stream", "MB/s", 2),
        ):
            ours, theirs = ([talk[place][at] for talk in found[name]] for name in ("own", "shared"))
            rows.append(Row(f"{way}: {what}", Samples(ours, unit), "", None, "shared", Samples(theirs, unit)))
    return rows


def _talk(cluster: Running, number: int) -> list[list[float]]:
    """What a pod measures of another one, directly and through a Service: each time µs, µs and MB/s."""
    from kubernetes.client import CoreV1Api

    from labkit import client

    core = CoreV1Api(cluster.api)
    name = f"bench-{number}"
    service = {"metadata": {"name": "bench"}, "spec": {"selector": {"app": "bench"}, "ports": [{"port": 7000}]}}
    core.create_namespaced_service("default", service)
    server = core.create_namespaced_pod("default", _program(f"{name}-server", SERVER, [], [{"containerPort": 7000}]))
    with cluster.used():
        client.wait("pod", server.metadata.name, _ready, timeout=30, what="its start")
        seen = core.read_namespaced_pod(server.metadata.name, "default")
        port = seen.spec.containers[0].ports[0].host_port or 7000
        asker = _program(f"{name}-asker", ASKER, [f"{seen.status.pod_ip}:{port}"], [])
        core.create_namespaced_pod("default", asker)
        client.wait(
            "pod", f"{name}-asker", lambda pod: pod["status"].get("phase") == "Succeeded", timeout=120, what="its end"
        )
    said = core.read_namespaced_pod_log(f"{name}-asker", "default")
    for pod in (f"{name}-server", f"{name}-asker"):
        core.delete_namespaced_pod(pod, "default", grace_period_seconds=0)
    core.delete_namespaced_service("bench", "default")
    return [[float(word) for word in line.split()] for line in said.splitlines()]


def _ready(pod: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or ())


def _program(name: str, text: str, words: list[str], ports: list[dict[str, Any]]) -> dict[str, Any]:
    command = ["python3", "-c", text, *words]
    container = {"name": "main", "image": "python:3", "command": command, "ports": ports}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {
        "metadata": {"name": name, "labels": {"app": name.partition("-")[0] if "server" in name else name}},
        "spec": spec,
    }
