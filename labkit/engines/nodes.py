"""A cluster's machines: how many and how large, and what happens when one of them fails.

`stop` turns a machine off (an engine knows how), waits until Kubernetes notices, and then sets the taint
`node.kubernetes.io/out-of-service`, which confirms that the machine is off: Kubernetes deletes its pods without waiting for
it, and their owners create new ones on other machines at once. Before the taint is set, a file in the cluster's folder
records the node, so that `labkit up`, which turns all machines on, removes every such taint.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kubeproc import quantity
from labkit.errors import LabError
from labkit.paths import ClusterFolder

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api, V1Node

Object = dict[str, Any]
MOST = 20  # nodes of a cluster
LEAST = 2**20  # bytes of memory of a node
PATIENCE = 180  # seconds: a real cluster believes in a silent node for 40 to 50 s, and a machine takes some to start
NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
TAINT = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}


@dataclass(frozen=True)
class Change:
    """What became of a node: whether it has power, how many `pods` it lost, and whether it was the `last` one with power."""

    node: str
    on: bool
    pods: int = 0
    last: bool = False

    def __str__(self) -> str:
        if self.on:
            return f"node {self.node} is on: Ready"
        lost = "1 pod was" if self.pods == 1 else f"{self.pods or 'no'} pods were"
        alone = "; no other node is on: pods wait until one is" if self.last else ""
        return f"node {self.node} is off: NotReady; {lost} lost{alone}"


def check(nodes: int | None = None, node_cpus: int | None = None, node_memory: str | None = None, **_: Any) -> None:
    """LabError where these can't be a cluster's machines; it names the option."""
    if nodes is not None and not 1 <= nodes <= MOST:
        raise LabError(f"--nodes {nodes}: a cluster has 1 to {MOST} nodes", "as in labkit up --nodes 3")
    if node_cpus is not None and node_cpus < 1:
        raise LabError(
            f"--node-cpus {node_cpus}: a node has at least one CPU", "as in labkit up --nodes 3 --node-cpus 2"
        )
    if node_memory is not None:
        try:
            enough = quantity.parse(node_memory) >= LEAST
        except ValueError:
            enough = False
        if not enough:
            words = f"--node-memory {node_memory}: a node has at least 1Mi, as a quantity of Kubernetes"
            raise LabError(words, "as in --node-memory 4Gi: a number alone is bytes")


@contextlib.contextmanager
def _answered() -> Iterator[None]:
    """Turn an API's refusal or silence into a LabError."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (ApiException, HTTPError) as error:
        reason = f"{error.status} {error.reason}" if isinstance(error, ApiException) else type(error).__name__
        raise LabError(
            f"the API does not answer as it should: {reason}",
            "run the same command again: it continues; `labkit status` shows what runs",
        ) from error


@_answered()
def stop(engine: ModuleType, folder: ClusterFolder, node: str) -> Change:
    """Let the machine fail; returns when Kubernetes knows. A second call changes nothing. LabError where there is no such
    node, or the engine can't turn it off."""
    core = _api(engine, folder, node)
    pods = core.list_pod_for_all_namespaces(field_selector=f"spec.nodeName={node}").items
    engine.power(folder, node, on=False)
    _until(core, node, lambda found: _ready(found) != "True", "does not become NotReady")
    _note(folder, node).touch()
    _change_taints(core, node, lambda taints: [*taints, TAINT])
    last = "running" not in engine.status(folder).get("nodes", {}).values()
    return Change(node, on=False, pods=sum(_loses(pod) for pod in pods), last=last)


@_answered()
def start(engine: ModuleType, folder: ClusterFolder, node: str) -> Change:
    """Turn the machine on again; returns when the node is Ready and takes pods."""
    core = _api(engine, folder, node)
    engine.power(folder, node, on=True)
    _until(core, node, _serves, "does not become Ready")
    _into_service(core, folder, node)
    return Change(node, on=True)


def back(folder: ClusterFolder) -> None:
    """Let the machines that were stopped take pods again, now that all are on."""
    if any((folder.root / "out-of-service").glob("*")):  # else nothing of Kubernetes' client, half a second, is loaded
        _all_back(folder)


@_answered()
def _all_back(folder: ClusterFolder) -> None:
    core = _core(folder)
    there = {node.metadata.name for node in core.list_node().items}
    for note in sorted((folder.root / "out-of-service").glob("*")):
        if note.name in there:
            _until(core, note.name, _serves, "does not become Ready")
            _into_service(core, folder, note.name)
        else:
            note.unlink(missing_ok=True)


def _api(engine: ModuleType, folder: ClusterFolder, node: str) -> CoreV1Api:
    if not hasattr(engine, "power"):
        raise LabError(
            "the machines of this cluster are not labkit's",
            "labkit up --name other --nodes 3 makes a cluster whose machines can be stopped",
        )
    found = engine.status(folder)
    if found["state"] not in ("running", "degraded"):
        raise LabError(
            f"the cluster {folder.root.name!r} is {found['state']}", f"labkit up --name {folder.root.name} starts it"
        )
    if node not in found["nodes"]:
        raise LabError(
            f"the cluster {folder.root.name!r} has no node {node!r}", f"its nodes: {', '.join(found['nodes'])}"
        )
    return _core(folder)


def _core(folder: ClusterFolder) -> CoreV1Api:
    from kubernetes import client, config  # here: it takes half a second

    return client.CoreV1Api(config.new_client_from_config(str(folder.kubeconfig)))


def _ready(node: V1Node) -> str:
    """The status of its condition Ready."""
    return next((c.status for c in node.status.conditions or () if c.type == "Ready"), "Unknown")


def _serves(node: V1Node) -> bool:
    """Whether it is Ready, and known to be: the node controller takes its taints off a moment later."""
    return _ready(node) == "True" and not {taint.key for taint in node.spec.taints or ()} & {NOT_READY, UNREACHABLE}


def _until(core: CoreV1Api, node: str, holds: Callable[[V1Node], bool], what: str) -> None:
    """Return when `holds` is true of the node."""
    from kubernetes import watch
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    deadline, seen = time.monotonic() + PATIENCE, "Unknown"
    while (left := deadline - time.monotonic()) > 0:
        options = {"field_selector": f"metadata.name={node}", "timeout_seconds": max(1, int(left))}
        try:
            for event in watch.Watch().stream(core.list_node, **options):
                seen = _ready(event["object"])
                if event["type"] != "DELETED" and holds(event["object"]):
                    return
        except (ApiException, HTTPError):
            time.sleep(0.2)  # a server that starts again has no watch to offer
    raise LabError(
        f"the node {node} {what} within {PATIENCE} s (Ready is {seen})",
        f"`kubectl describe node {node}` shows its conditions",
    )


def _into_service(core: CoreV1Api, folder: ClusterFolder, node: str) -> None:
    _change_taints(core, node, lambda taints: taints)
    _note(folder, node).unlink(missing_ok=True)


def _change_taints(core: CoreV1Api, node: str, change: Callable[[list[Object]], list[Object]]) -> None:
    """Write the node's taints, `change` of those that are not ours; again where somebody else writes at the same time."""
    from kubernetes.client.exceptions import ApiException

    while True:
        found = core.api_client.sanitize_for_serialization(core.read_node(node))
        before = found["spec"].get("taints", [])
        taints = change([taint for taint in before if taint["key"] != TAINT["key"]])
        if taints == before:
            return
        spec = {"taints": taints or None}
        try:
            version = found["metadata"]["resourceVersion"]
            core.patch_node(node, {"metadata": {"resourceVersion": version}, "spec": spec})
            return
        except ApiException as error:
            if error.status != 409:
                raise


def _loses(pod: Any) -> bool:
    """Whether the pod ends with its machine: it has not ended yet, and is not one that every machine has of its own."""
    owners = pod.metadata.owner_references or ()
    return pod.status.phase in ("Pending", "Running") and not any(owner.kind == "DaemonSet" for owner in owners)


def _note(folder: ClusterFolder, node: str) -> Path:
    """The file that says that the node carries the taint."""
    notes = folder.root / "out-of-service"
    notes.mkdir(mode=0o700, exist_ok=True)
    return notes / node
