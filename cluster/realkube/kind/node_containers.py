"""The cluster's nodes: Docker containers that kind makes, and what their state is.

kind labels its containers with the cluster's name. Ours is made of the cluster's and of its folder's, so that two users,
or two homes, of one Docker never meet.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import yaml

from kubeproc import timestamps
from labkit.errors import LabError
from labkit.paths import ClusterFolder
from realkube import programs
from realkube.programs import Kube
from realkube.supply.versions import FOLDER

LABEL = "io.x-k8s.kind.cluster"
SYSTEM = ("kube-system", "local-path-storage", "kubeflow", "argo", "labkit-system")
Object = dict[str, Any]


def kind_name(folder: ClusterFolder) -> str:
    """kind's name for the cluster: labkit-NAME-XXXXXX."""
    mark = hashlib.sha256(str(folder.root).encode()).hexdigest()[:6]
    return f"labkit-{folder.root.name}-{mark}" if folder.root.name != "labkit" else f"labkit-{mark}"


def containers(name: str) -> dict[str, str]:
    """`{node: state}` of the cluster's containers, state in Docker's words: running, exited, created ..."""
    said = programs.run(
        [programs.docker(), "ps", "-a", "--filter", f"label={LABEL}={name}", "--format", "{{.Names}} {{.State}}"],
        timeout=30,
    )
    return dict(line.split() for line in sorted(said.splitlines()))


def config(count: int, port: int | None, reserved: dict[str, str] | None = None) -> str:
    """kind's configuration: the template in cluster/, with as many nodes as asked and the API on 127.0.0.1. `reserved` is what
    each node withholds from pods (`size.reserved`)."""
    wanted: Object = yaml.safe_load((FOLDER / "kind.yaml").read_text())
    wanted["nodes"] += [{"role": "worker"} for _ in range(count - 1)]
    wanted["networking"]["apiServerPort"] = port or 0
    if reserved:
        kubelet = {"kind": "KubeletConfiguration", "systemReserved": reserved}
        wanted["kubeadmConfigPatches"] = [yaml.safe_dump(kubelet)]
    return yaml.safe_dump(wanted)


def create(kind: str, name: str, image: str, kubeconfig: Path, config: str, lock: int, seconds: float = 300) -> None:
    """Make the containers as `config` says and have kubeadm run in them; LabError with kind's words and the node's last ones.

    kind inherits `lock`: no other `up` begins while kind runs, even if this process was killed.
    """
    command = [kind, "create", "cluster", "--name", name, "--image", image, "--config", "-", "--retain"]
    command += ["--kubeconfig", str(kubeconfig), "--wait", "0s", "-q"]
    try:
        programs.run(command, input=config, timeout=seconds, pass_fds=[lock])
    except LabError as error:
        said = f"{error.message}\n{last_words(name)}"
        hint = error.hint or programs.remedy(said) or "labkit up tries it again"
        raise LabError(said, hint) from error


def delete(kind: str, name: str, kubeconfig: Path) -> None:
    """Remove the cluster's containers with all that is in them."""
    programs.run([kind, "delete", "cluster", "--name", name, "--kubeconfig", str(kubeconfig)], timeout=120)


def stop(name: str) -> bool:
    """Stop the running containers; what is in them stays."""
    running = [node for node, state in containers(name).items() if state == "running"]
    if running:
        programs.run([programs.docker(), "stop", "--time", "20", *running], timeout=120)
    return bool(running)


def kill(node: str) -> None:
    """Turn one node off: no program in it gets a signal."""
    programs.run([programs.docker(), "kill", node], timeout=60)


def start(name: str) -> None:
    """Start the containers that are stopped."""
    stopped = [node for node, state in containers(name).items() if state != "running"]
    if stopped:
        programs.run([programs.docker(), "start", *stopped], timeout=120)


def running(name: str) -> list[str]:
    """The nodes that run."""
    return [node for node, state in containers(name).items() if state == "running"]


def started(nodes: Collection[str]) -> dict[str, float]:
    """When each of the containers started, in seconds since 1970."""
    said = programs.run([programs.docker(), "inspect", "--format", "{{.State.StartedAt}}", *nodes])
    return dict(zip(nodes, map(_seconds, said.split()), strict=True))


def _seconds(stamp: str) -> float:
    return timestamps.seconds(stamp[:19])


def await_nodes(kube: Kube, name: str, since: dict[str, float], seconds: float = 240) -> None:
    """Return when the API answers and each of the nodes has reported itself Ready after its moment in `since`: one that was
    stopped is said to be Ready until its lease runs out. LabError with the nodes' conditions and last words."""
    missing: list[str] = []

    def ready() -> bool:
        every = json.loads(kube("get", "nodes", "-o", "json", timeout=20))["items"]
        found = [node for node in every if node["metadata"]["name"] in since]
        missing[:] = [_node_words(node) for node in found if not _node_ready(node, since[node["metadata"]["name"]])]
        return len(found) == len(since) and not missing

    _until(ready, seconds, lambda: "\n".join(missing) or "its API does not answer", name, "nodes are not ready")


def _node_ready(node: Object, since: float) -> bool:
    return any(
        c["type"] == "Ready" and c["status"] == "True" and _seconds(c["lastHeartbeatTime"]) >= since
        for c in node["status"].get("conditions", [])
    )


def _node_words(node: Object) -> str:
    conditions = node["status"].get("conditions", [])
    told = [f"{c['type']}={c['status']} ({c.get('reason')}: {c.get('message')})" for c in conditions]
    return f"  {node['metadata']['name']}: " + ("; ".join(told) or "no conditions yet")


def await_pods(kube: Kube, name: str, since: dict[str, float], seconds: float = 300) -> None:
    """Return when every pod of the system's namespaces is ready, in containers started after its node, and every
    Deployment has all that it wants. LabError says which are not, and why."""
    missing: list[str] = []

    def ready() -> bool:
        listed = json.loads(kube("get", "pods,deployments", "-A", "-o", "json", timeout=20))["items"]
        mine = [o for o in listed if o["metadata"]["namespace"] in SYSTEM]
        missing[:] = [words for o in mine if (words := _lacks(o, since))]
        return bool(mine) and not missing

    _until(ready, seconds, lambda: "\n".join(missing) or "its API does not answer", name, "pods are not ready")


def _lacks(thing: Object, since: dict[str, float]) -> str:
    name = f"  {thing['metadata']['namespace']}/{thing['metadata']['name']}"
    status = thing.get("status", {})
    if thing["kind"] == "Deployment":
        wanted, has = thing["spec"].get("replicas", 1), status.get("availableReplicas", 0)
        current = status.get("observedGeneration", 0) >= thing["metadata"]["generation"]
        return "" if has >= wanted and current else f"{name}: {has} of {wanted} replicas available"
    if status.get("phase") == "Succeeded" or thing["metadata"].get("deletionTimestamp"):
        return ""
    states = status.get("containerStatuses") or [{"name": "?", "state": {"waiting": {"reason": status.get("phase")}}}]
    for state in states:
        running = state["state"].get("running")
        if not running:
            told: Object = next(iter(state["state"].values()), {})
            return f"{name}: container {state['name']}: {told.get('reason')} {told.get('message', '')}".rstrip()
        if not state.get("ready") or _seconds(running["startedAt"]) < since.get(thing["spec"].get("nodeName"), 0):
            return f"{name}: container {state['name']} runs, but is not ready"
    return ""


def _until(ready: Callable[[], bool], seconds: float, missing: Callable[[], str], name: str, what: str) -> None:
    deadline, lived = time.monotonic() + seconds, set(running(name))
    failure = ""
    while time.monotonic() < deadline:
        try:
            if ready():
                return
            failure = ""
        except LabError as error:
            failure = error.message
        if set(running(name)) != lived:
            break  # one has ended
        time.sleep(0.5)  # an API that is not up yet has no watch to offer
    raise LabError(
        f"{what} after {seconds:g} s:\n{failure or missing()}\n{last_words(name)}",
        "labkit up continues from here; labkit down --purge deletes everything, so that labkit up starts over",
    )


def last_words(name: str, lines: int = 8) -> str:
    """The last lines of every node's kubelet, or of its container where the kubelet has not started."""
    found = []
    try:
        states = containers(name)
    except LabError as error:
        return f"  {error.message}"
    for node, state in states.items():
        said = ""
        if state == "running":
            journal = ["exec", node, "journalctl", "-u", "kubelet", "-n", str(lines), "--no-pager", "-o", "cat"]
            said = _quiet([programs.docker(), *journal])
        if not said or "No entries" in said:
            said = _quiet([programs.docker(), "logs", "--tail", str(lines), node])
        found += [f"  {node} ({state}): {line[:300]}" for line in said.splitlines()[-lines:]]
    return "\n".join(found) or "  (no node is there)"


def _quiet(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, errors="replace")
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout + done.stderr
