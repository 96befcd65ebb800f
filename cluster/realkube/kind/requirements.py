"""What this machine must have, checked before anything is created; each error says how to mend it."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

from labkit import paths
from labkit.errors import LabError
from realkube import programs
from realkube.supply import availability, bundle_fit, versions
from realkube.supply.bundle import Bundle

MEMORY_GB = 5.5  # what "6 GB" in Docker Desktop's settings comes out as
DISK_GB = 8  # the node image, the lab image and a margin; less when they are there already
HOME_GB = 2  # the largest image, unpacked, for a moment
PROC = Path("/proc/sys/fs/inotify")
INOTIFY_INSTANCES = 512  # the kernel's default of 128 is used up by two nodes
INOTIFY_WATCHES = 524288  # what kind asks for; the kernel's default goes by the memory, and often less will do


def memory(info: dict[str, Any]) -> None:
    """Docker's memory: the machine's on Linux, its virtual machine's elsewhere."""
    has = info["MemTotal"] / 2**30
    if has < MEMORY_GB:
        raise LabError(
            f"Docker has {has:.1f} GB of memory, the cluster needs 6",
            "Docker Desktop: Settings, Resources, Memory; or use the embedded cluster: labkit up",
        )


def home(needed: float = HOME_GB) -> None:
    """Free space in labkit's home, through which images travel to the nodes."""
    folder = paths.home()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free / 2**30
    if free < needed:
        raise LabError(
            f"{free:.1f} GB are free in {folder}, images on their way to the nodes need {needed:g} there",
            f"free some space in {folder}, or set LABKIT_HOME to a folder on another disk",
        )


def disk(info: dict[str, Any], needed: float = DISK_GB) -> None:
    """Free space where Docker keeps its images, if that is a folder of this machine."""
    root = Path(info.get("DockerRootDir") or "/")
    if not root.is_dir():
        return
    free = shutil.disk_usage(root).free / 2**30
    if free < needed:
        raise LabError(
            f"{free:.1f} GB are free in {root}, the cluster needs {needed:g}",
            "docker system df shows what takes it, docker system prune frees what nothing uses",
        )


def inotify(proc: Path = PROC) -> None:
    """Linux: kubelets and containerd watch many files; where the limit is low, nodes fail with errors that do not name it."""
    has = _limit(proc, "max_user_instances")
    if has is not None and has < INOTIFY_INSTANCES:
        raise LabError(
            f"fs.inotify.max_user_instances is {has}, several nodes need {INOTIFY_INSTANCES}",
            f"sudo sysctl fs.inotify.max_user_instances={2 * INOTIFY_INSTANCES}",
        )


def few_watches(proc: Path = PROC) -> str:
    """A note about a limit of watched files that a busy cluster may reach; '' where it is high enough."""
    has = _limit(proc, "max_user_watches")
    if has is None or has >= INOTIFY_WATCHES:
        return ""
    return (
        f"fs.inotify.max_user_watches is {has}, kind asks for {INOTIFY_WATCHES}; where pods fail with 'too many open files': "
        f"sudo sysctl fs.inotify.max_user_watches={INOTIFY_WATCHES}"
    )


def _limit(proc: Path, name: str) -> int | None:
    path = proc / name
    return int(path.read_text()) if path.exists() else None  # only Linux has it


def cgroups(info: dict[str, Any], minor: str) -> None:
    """From 1.35 on the kubelet refuses to start on cgroup v1."""
    if str(info.get("CgroupVersion")) == "1" and tuple(map(int, minor.split("."))) >= (1, 35):
        raise LabError(
            f"this machine has cgroup v1, on which Kubernetes {minor} does not start",
            "use --kubernetes 1.34, or boot with systemd.unified_cgroup_hierarchy=1",
        )


def port(number: int | None) -> None:
    """The API's port, where one was asked for."""
    if not number:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError as error:
            raise LabError(
                f"port {number} is taken", "choose another one; without --port a free one is chosen"
            ) from error


def kind_differs(program: str) -> str:
    """A note about a version of kind other than the kit's; '' for the kit's own."""
    wanted = versions.table()["kind"]
    said = programs.run([program, "version"], timeout=30)  # kind v0.30.0 go1.24.6 linux/amd64
    has = next((word for word in said.split() if word.startswith("v") and word[1:2].isdigit()), said.strip())
    if has == wanted:
        return ""
    return f"{program} is kind {has}, node images are made for {wanted}: go install sigs.k8s.io/kind@{wanted}"


def advice(program: str) -> list[str]:
    """Notes that do not prevent a cluster, made with the kind `program`."""
    return [text for text in (kind_differs(program), few_watches()) if text]


def lacking(kubernetes: str | None = None) -> LabError | None:
    """The reason why `labkit up --engine kind` can't make a cluster here; None where it can."""
    minor = versions.minor(kubernetes)
    try:
        info = programs.docker_info()
        bundle = Bundle.of(None)
        if bundle:
            bundle_fit.check(bundle)
        programs.kind(versions.table()["kind"], bundle.kind() if bundle else None)
        memory(info)
        disk(info, DISK_GB / 2)
        home()
        inotify()
        cgroups(info, minor)
        availability.check(minor, bundle)
    except LabError as error:
        return error
    return None


def all(kubernetes_minor: str, asked_port: int | None = None, disk_gb: float = DISK_GB) -> dict[str, Any]:
    """Every check; returns what Docker says of itself."""
    info = programs.docker_info()
    memory(info)
    disk(info, disk_gb)
    home()
    inotify()
    cgroups(info, kubernetes_minor)
    port(asked_port)
    return info
