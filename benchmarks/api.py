"""Small creates per second through HTTPS while 20 watchers look on; every event seen, every create there after a SIGKILL."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import threading
import time
from urllib.parse import urlsplit

from benchmarks.clusters import Running, running
from benchmarks.measure import Row, Samples

CREATES, WATCHERS = 600, 20


def connection(cluster: Running) -> http.client.HTTPSConnection:
    configuration = cluster.api.configuration
    trust = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    return http.client.HTTPSConnection(urlsplit(configuration.host).netloc, context=trust)


def creates_per_second(cluster: Running, round_: int) -> float:
    """One writer on one connection; returns once every watcher has seen every event."""
    headers = {
        "Authorization": cluster.api.configuration.get_api_key_with_prefix("authorization"),
        "Content-Type": "application/json",
    }
    path = "/api/v1/namespaces/default/configmaps"
    names = {f"bench-{round_}-{n}" for n in range(CREATES)}
    seen: list[set[str]] = [set() for _ in range(WATCHERS)]

    def look_on(mine: set[str], watching: http.client.HTTPSConnection, ready: threading.Barrier) -> None:
        watching.request("GET", f"{path}?watch=true&timeoutSeconds=60", headers=headers)
        answer = watching.getresponse()
        ready.wait()
        while not names <= mine:
            mine.add(json.loads(answer.readline())["object"]["metadata"]["name"])

    ready = threading.Barrier(WATCHERS + 1)
    watchers = [threading.Thread(target=look_on, args=(mine, connection(cluster), ready)) for mine in seen]
    for watcher in watchers:
        watcher.start()
    ready.wait()
    writer = connection(cluster)
    begun = time.perf_counter()
    for name in names:
        writer.request("POST", path, json.dumps({"metadata": {"name": name}, "data": {"a": "b"}}), headers)
        answer = writer.getresponse()
        answer.read()
        assert answer.status == 201
    taken = time.perf_counter() - begun
    for watcher in watchers:
        watcher.join(60)
    assert all(names <= mine for mine in seen), "a watcher missed an event"
    return CREATES / taken


def measure(runs: int) -> list[Row]:
    from kubernetes.client import CoreV1Api

    from labkit import client
    from labkit import cluster as clusters

    with running() as cluster:
        ours = Samples([creates_per_second(cluster, n) for n in range(runs)], "creates/s")
        os.kill(cluster.status["daemons"]["server"], signal.SIGKILL)
        client.wait("node", "labkit", lambda node: True, timeout=30)
        kept = len(CoreV1Api(cluster.api).list_namespaced_config_map("default").items)
        assert kept >= CREATES * runs, f"{kept} of {CREATES * runs} acknowledged creates are there after SIGKILL"
        assert clusters.status("bench")["state"] == "running"
    note = (
        f"all {CREATES * runs} creates were there after the server's SIGKILL, and each of {WATCHERS} watchers saw each"
    )
    what = f"small creates over HTTPS with {WATCHERS} watchers"
    return [Row(what, ours, "over 200/s", ours.median > 200, note=note)]
