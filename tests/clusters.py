"""Whole embedded clusters for tests, and a namespace of one through the official client."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from kubernetes import client, config, utils, watch

from kubeproc import engine
from kubeproc.network import mode
from labkit.engines import embedded
from labkit.paths import ClusterFolder

Object = dict[str, Any]
ACCESS = Path(__file__).parents[1] / "workflows" / "access.yaml"


@contextmanager
def running_cluster(root: Path, portable: bool = False, **options: Any) -> Iterator[ClusterFolder]:
    """An embedded cluster of its own below `root`; afterwards nothing of it may be left."""
    folder = ClusterFolder(root / "c")
    options.setdefault("outside", False)  # no test sends anything to another network
    before = os.environ.get("LABKIT_PORTABLE")
    os.environ["LABKIT_PORTABLE"] = "1" if portable else "0"
    try:
        embedded.up(folder, **options)
    finally:
        if before is None:
            del os.environ["LABKIT_PORTABLE"]
        else:
            os.environ["LABKIT_PORTABLE"] = before
    try:
        yield folder
    finally:
        started = processes_of(folder)
        embedded.down(folder)
        _, left = psutil.wait_procs(started, timeout=3)
        words = [f"{p.pid}: {' '.join(p.cmdline())}" for p in left if p.is_running()]
        for process in left:
            process.kill()
        assert not words, f"left by the cluster: {words}"


def processes_of(folder: ClusterFolder) -> list[psutil.Process]:
    """The cluster's daemons and all that they started."""
    found: dict[int, psutil.Process] = {}
    for name in engine.DAEMONS:
        if pid := engine.daemon(folder, name).pid:
            process = psutil.Process(pid)
            found |= {p.pid: p for p in (process, *process.children(recursive=True))}
    return list(found.values())


class Kube:
    """A namespace of a cluster, through the official client."""

    def __init__(self, folder: ClusterFolder, namespace: str) -> None:
        self.folder, self.namespace = folder, namespace
        self.api = config.new_client_from_config(str(folder.kubeconfig))
        self.core = client.CoreV1Api(self.api)
        self.own_network = mode.own(folder)

    def pod(self, name: str, command: list[str] | None, image: str = "busybox", **spec: Any) -> Object:
        """Create a pod of one container; `container` holds further fields of that."""
        container = {"name": "main", "image": image, **spec.pop("container", {})}
        if command:
            container["command"] = command
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}, **spec.pop("metadata", {})},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "automountServiceAccountToken": False,
                "containers": [container],
                **spec,
            },
        }
        return self.api.sanitize_for_serialization(self.core.create_namespaced_pod(self.namespace, body))

    def get(self, name: str) -> Object:
        return self.api.sanitize_for_serialization(self.core.read_namespaced_pod(name, self.namespace))

    def until(self, name: str, holds: Callable[[Object], Any], seconds: float = 60) -> Object:
        """The pod, once `holds` is true of it."""
        seen: Object = {}
        for event in watch.Watch().stream(
            self.core.list_namespaced_pod,
            self.namespace,
            field_selector=f"metadata.name={name}",
            timeout_seconds=int(seconds),
        ):
            seen = event["raw_object"]
            if event["type"] != "DELETED" and holds(seen):
                return seen
        raise AssertionError(f"{name} within {seconds} s: {seen.get('status')}")

    def ended(self, name: str, seconds: float = 60) -> Object:
        return self.until(name, lambda pod: phase(pod) in ("Succeeded", "Failed"), seconds)

    def running(self, name: str, seconds: float = 60) -> Object:
        return self.until(name, lambda pod: phase(pod) == "Running", seconds)

    def gone(self, name: str, seconds: float = 60) -> None:
        """Return when there is no such pod."""
        options = {"field_selector": f"metadata.name={name}", "timeout_seconds": int(seconds)}
        listed = self.core.list_namespaced_pod(self.namespace, field_selector=f"metadata.name={name}")
        if not listed.items:
            return
        version = listed.metadata.resource_version
        for event in watch.Watch().stream(
            self.core.list_namespaced_pod, self.namespace, resource_version=version, **options
        ):
            if event["type"] == "DELETED":
                return
        raise AssertionError(f"{name} is still there")

    def log(self, name: str, **options: Any) -> str:
        return self.core.read_namespaced_pod_log(name, self.namespace, **options)

    def events(self, name: str, reason: str, seconds: float = 5) -> list[str]:
        """The messages of the pod's events of that reason; waits for the first one."""
        found: list[str] = []
        for event in watch.Watch().stream(
            self.core.list_namespaced_event,
            self.namespace,
            field_selector=f"involvedObject.name={name},reason={reason}",
            timeout_seconds=int(seconds),
        ):
            found.append(event["object"].message)
            break
        return found


def space(folder: ClusterFolder, test: str) -> Kube:
    """A namespace that is the test's own, named after it."""
    made = Kube(folder, f"t{zlib.crc32(test.encode())}")
    made.core.create_namespace({"metadata": {"name": made.namespace}})
    return made


def let_workflows_run(api: client.ApiClient, namespace: str) -> None:
    """Give the namespace's default account what the steps of a workflow need."""
    utils.create_from_yaml(api, str(ACCESS), namespace=namespace)


def phase(pod: Object) -> str:
    return pod.get("status", {}).get("phase", "")


def container(pod: Object, name: str = "main") -> Object:
    statuses = pod["status"].get("containerStatuses", []) + pod["status"].get("initContainerStatuses", [])
    return next((s for s in statuses if s["name"] == name), {"state": {}, "restartCount": 0})
