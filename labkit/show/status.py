"""`labkit status --watch`: the cluster's state and its pods, printed again whenever one changes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from labkit import client
from labkit.show.recorder import Recorder


def watch_status(name: str) -> None:
    """Print the cluster's pods, jobs and workflows, and again whenever one changes, until Ctrl-C."""
    from labkit import cluster

    cluster.use(name)
    changed = threading.Event()
    with Recorder(everywhere=True, changed=changed.set):
        changed.set()
        while True:
            changed.wait()
            changed.clear()
            found = cluster.status(name)
            head = [f"{found['name']}: {found['state']} {found['api']}", *found["notes"]]
            head += [f"node {node}: {state}" for node, state in (found.get("nodes") or {}).items()]
            print("\033[2J\033[H" + "\n".join([*head, *_pod_lines()]), flush=True)


def _pod_lines() -> Iterator[str]:
    from kubernetes.client import CoreV1Api

    for pod in CoreV1Api(client.api()).list_pod_for_all_namespaces().items:
        restarts = sum(c.restart_count for c in pod.status.container_statuses or [])
        yield f"{pod.metadata.namespace:20} {pod.metadata.name:50} {pod.status.phase:10} restarts {restarts}"
