"""The Node object of a machine: its capacity and its heartbeat. Each node of a cluster has the capacity of the host, or the
size given to `engine.up`.

The status is written at the start and when a condition changes. The heartbeat is a Lease, renewed every ten seconds, which
does not wake clients that watch nodes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from kubeproc import __version__, machines, quantity, timestamps
from kubeproc.kubelet.api_client import Api, Refused, Unreachable
from kubeproc.kubelet.pod_status import ADDRESS
from kubeproc.machines import Machine

Object = dict[str, Any]
log = logging.getLogger("kubelet")
VERSION = f"v1.34.4-labkit+{__version__}"
RENEW, LIFE = 10, 40  # seconds
PODS = 110
LOW_DISK, LOW_MEMORY = 0.05, 100 << 20  # free share of the disk, free bytes of memory
LEASE_SPACE = "kube-node-lease"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{LEASE_SPACE}/leases"
MECHANISMS = "labkit.dev/mechanisms"


def capacity(home: Path, machine: Machine) -> Object:
    memory = quantity.whole(machine.memory) if machine.memory else psutil.virtual_memory().total
    return {
        "cpu": str(machine.cpus or cores()),
        "memory": quantity.canonical(f"{memory // 1024}Ki"),
        "pods": str(PODS),
        "ephemeral-storage": f"{shutil.disk_usage(home).total // 1024}Ki",
    }


def cores() -> int:
    """The number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def conditions(home: Path) -> list[Object]:
    """Ready and the three pressures, without their times."""
    disk = shutil.disk_usage(home)
    low_disk, low_memory = disk.free < disk.total * LOW_DISK, psutil.virtual_memory().available < LOW_MEMORY

    return [
        _pressure("Memory", low_memory, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        _pressure("Disk", low_disk, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        _pressure("PID", False, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"},
    ]


def _pressure(what: str, low: bool, reason: str, message: str) -> Object:
    if low:
        reason, message = f"KubeletHas{what}Pressure", f"kubelet has {what.lower()} pressure"
    return {"type": f"{what}Pressure", "status": "True" if low else "False", "reason": reason, "message": message}


def status(home: Path, machine: Machine, old: Object) -> Object:
    """The node's whole status; conditions that have not changed keep the times of `old`."""
    before = {c["type"]: c for c in old.get("conditions") or ()}
    found = conditions(home)
    for condition in found:
        known = before.get(condition["type"])
        same = known is not None and known["status"] == condition["status"]
        condition["lastHeartbeatTime"] = timestamps.now()
        condition["lastTransitionTime"] = known["lastTransitionTime"] if known and same else timestamps.now()
    return {
        "capacity": capacity(home, machine),
        "allocatable": capacity(home, machine),
        "conditions": found,
        "addresses": [{"type": "InternalIP", "address": ADDRESS}, {"type": "Hostname", "address": machine.name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
        "nodeInfo": {
            "machineID": f"{machine.name}-{os.getuid()}",
            "systemUUID": "",
            "bootID": "",
            "kernelVersion": platform.release(),
            "osImage": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
            "containerRuntimeVersion": f"labkit://{__version__}",
            "kubeletVersion": VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": platform.system().lower(),
            "architecture": _architecture(),
        },
        "images": [],
    }


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def node(machine: Machine, mechanisms: str) -> Object:
    labels = {
        "kubernetes.io/hostname": machine.name,
        "kubernetes.io/os": platform.system().lower(),
        "kubernetes.io/arch": _architecture(),
    }
    if machine.name == machines.FIRST:
        labels["node-role.kubernetes.io/control-plane"] = ""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": machine.name, "labels": labels, "annotations": {MECHANISMS: mechanisms}},
        "spec": {},
    }


async def register(api: Api, home: Path, machine: Machine, mechanisms: str) -> Object:
    """Create or update the Node object. Returns the object with the status that it had before."""
    wanted, path = node(machine, mechanisms), f"/api/v1/nodes/{machine.name}"
    found = await api.find(path)
    if found is None:
        found = await api.create("/api/v1/nodes", wanted)
    elif found["metadata"].get("annotations", {}).get(MECHANISMS) != mechanisms:
        found = await api.merge(path, {"metadata": wanted["metadata"]})
    new = status(home, machine, found.get("status") or {})
    await api.patch(f"{path}/status", [{"op": "add", "path": "/status", "value": new}])
    return found


async def heartbeat(api: Api, home: Path, machine: Machine, mechanisms: str) -> None:
    """Renew the lease until this is cancelled; register again if the node is gone or a condition has changed."""
    while True:
        try:
            await _renew(api, machine.name)
            known = await api.find(f"/api/v1/nodes/{machine.name}")
            if known is None or states(known) != _states(conditions(home)):
                await register(api, home, machine, mechanisms)
        except Unreachable:
            pass
        except Refused as error:
            log.warning("heartbeat: %s", error)
        await asyncio.sleep(RENEW)


def states(node: Object) -> dict[str, str]:
    """The node's conditions."""
    return _states((node.get("status") or {}).get("conditions") or [])


def _states(conditions: list[Object]) -> dict[str, str]:
    return {c["type"]: c["status"] for c in conditions}


async def _renew(api: Api, name: str) -> None:
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": name, "leaseDurationSeconds": LIFE, "renewTime": moment}
    try:
        await api.merge(f"{LEASES}/{name}", {"spec": spec})
    except Refused as error:
        if error.code != 404:
            raise
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}
        await api.create(LEASES, lease)
