"""The Node object of this machine: what it has, that it lives.

The node's status is written at the start and when a condition changes; that the kubelet lives is told by a Lease, renewed
every ten seconds, which wakes nobody who watches nodes.
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

from labkit import __version__
from labkit.embedded.kubelet.client import Api, Refused, Unreachable
from labkit.embedded.kubelet.status import ADDRESS, now

Object = dict[str, Any]
log = logging.getLogger("kubelet")
NAME = "labkit"
VERSION = f"v1.34.4-labkit+{__version__}"
RENEW, LIFE = 10, 40  # seconds
PODS = 110
LOW_DISK, LOW_MEMORY = 0.05, 100 << 20  # share that is free, bytes
LEASE_SPACE = "kube-node-lease"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{LEASE_SPACE}/leases"
MECHANISMS = "labkit.dev/mechanisms"


def capacity(home: Path) -> Object:
    return {
        "cpu": str(cores()),
        "memory": f"{psutil.virtual_memory().total // 1024}Ki",
        "pods": str(PODS),
        "ephemeral-storage": f"{shutil.disk_usage(home).total // 1024}Ki",
    }


def cores() -> int:
    """The CPUs that this process may use."""
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


def status(home: Path, old: Object) -> Object:
    """The node's whole status; times of conditions that have not changed are those of `old`."""
    before = {c["type"]: c for c in old.get("conditions") or ()}
    found = conditions(home)
    for condition in found:
        known = before.get(condition["type"])
        same = known is not None and known["status"] == condition["status"]
        condition["lastHeartbeatTime"] = now()
        condition["lastTransitionTime"] = known["lastTransitionTime"] if known and same else now()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "capacity": capacity(home),
        "allocatable": capacity(home),
        "conditions": found,
        "addresses": [{"type": "InternalIP", "address": ADDRESS}, {"type": "Hostname", "address": NAME}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
        "nodeInfo": {
            "machineID": f"{NAME}-{os.getuid()}",
            "systemUUID": "",
            "bootID": "",
            "kernelVersion": platform.release(),
            "osImage": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
            "containerRuntimeVersion": f"labkit://{__version__}",
            "kubeletVersion": VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": platform.system().lower(),
            "architecture": machine,
        },
        "images": [],
    }


def node(mechanisms: str) -> Object:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    labels = {
        "kubernetes.io/hostname": NAME,
        "kubernetes.io/os": platform.system().lower(),
        "kubernetes.io/arch": machine,
        "node-role.kubernetes.io/control-plane": "",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NAME, "labels": labels, "annotations": {MECHANISMS: mechanisms}},
        "spec": {},
    }


async def register(api: Api, home: Path, mechanisms: str) -> Object:
    """Bring the Node object into being, or up to date; the object as stored."""
    wanted = node(mechanisms)
    found = await api.find(f"/api/v1/nodes/{NAME}")
    if found is None:
        found = await api.create("/api/v1/nodes", wanted)
    elif found["metadata"].get("annotations", {}).get(MECHANISMS) != mechanisms:
        found = await api.merge(f"/api/v1/nodes/{NAME}", {"metadata": wanted["metadata"]})
    return await _write(api, status(home, found.get("status") or {}))


async def _write(api: Api, wanted: Object) -> Object:
    return await api.patch(f"/api/v1/nodes/{NAME}/status", [{"op": "add", "path": "/status", "value": wanted}])


async def heartbeat(api: Api, home: Path, mechanisms: str) -> None:
    """Renew the lease for ever; write the status where a condition has changed; register anew where the node is gone."""
    known = {c["type"]: c["status"] for c in conditions(home)}
    while True:
        try:
            await _renew(api)
            found = {c["type"]: c["status"] for c in conditions(home)}
            if found != known or await api.find(f"/api/v1/nodes/{NAME}") is None:
                await register(api, home, mechanisms)
                known = found
        except Unreachable:
            pass
        except Refused as error:
            log.warning("heartbeat: %s", error)
        await asyncio.sleep(RENEW)


async def _renew(api: Api) -> None:
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": NAME, "leaseDurationSeconds": LIFE, "renewTime": moment}
    try:
        await api.merge(f"{LEASES}/{NAME}", {"spec": spec})
    except Refused as error:
        if error.code != 404:
            raise
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME}, "spec": spec}
        await api.create(LEASES, lease)
