"""Whether the cluster is in order: a failed machine must not count as a wrong answer."""

from __future__ import annotations

import os

from labkit import client, cluster, paths
from labkit.errors import LabError

HINT = "run `labkit up` in a terminal, or labkit.cluster.use() in a cell; then run this cell again"


def require() -> None:
    """LabError where the cluster doesn't answer, or none of its machines can run pods."""
    if found := trouble():
        raise LabError(f"your answer was not judged, because the cluster is not in order: {found}", HINT)


def trouble() -> str:
    """What is wrong with the cluster, '' where nothing is."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    if processes := _processes():
        return processes
    try:
        nodes = client.listing("node")
    except (HTTPError, ConnectionError, OSError):
        return "its API server does not answer"
    except (ApiException, LabError) as error:
        return "" if getattr(error, "status", 0) == 403 else f"its API server says {_first_line(error)}"
    states = {node["metadata"]["name"]: _why_not_ready(node) for node in nodes}
    if nodes and all(states.values()):
        return "; ".join(f"node {name} is not ready: {why}" for name, why in states.items())
    return ""


def _processes() -> str:
    """Which part of a cluster of labkit's is not running. A cluster that somebody else made is asked through its API only."""
    name = cluster.spoken_to()
    config = os.environ.get("KUBECONFIG", "")
    try:
        if os.path.realpath(config) != os.path.realpath(paths.cluster(name).kubeconfig):
            return ""
        found = cluster.status(name)
    except LabError:
        return ""
    gone = [part for part, process in found.get("daemons", {}).items() if not process]
    if gone:
        return f"its {' and '.join(gone)} {'is' if len(gone) == 1 else 'are'} not running"
    stopped = [node for node, state in (found.get("nodes") or {}).items() if state != "running"]
    if stopped and len(stopped) == len(found["nodes"]):
        return f"node {', '.join(stopped)} is stopped"
    return "" if cluster.answers(found) else f"it is {found['state']}"


def _why_not_ready(node: dict) -> str:
    for condition in (node.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Ready":
            return "" if condition.get("status") == "True" else str(condition.get("message") or condition.get("reason"))
    return "it has not reported yet"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
