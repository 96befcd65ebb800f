"""Start, look at and stop a kind cluster: the engine's side of `labkit up`, `status` and `down`.

`up` is a list of stages. Each stage looks at what exists and does what is missing, so that `up` continues after an interrupt.
An interrupted creation starts from the beginning, because kubeadm can't resume it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from kubeproc import timestamps
from labkit import __version__
from labkit.engines import info as cluster_info
from labkit.errors import LabError
from labkit.paths import ClusterFolder, own
from realkube import programs
from realkube.kind import access, node_images, node_size, requirements, routes
from realkube.kind import node_containers as machines
from realkube.programs import Kube
from realkube.stages import stage
from realkube.supply import bundle_fit, docker_images, lab_image, operator_manifests, versions
from realkube.supply.bundle import Bundle

Info = dict[str, Any]


def up(
    folder: ClusterFolder,
    port: int | None = None,
    nodes: int | None = None,
    bundle: str | Path | None = None,
    kubernetes: str | None = None,
    node_cpus: int | None = None,
    node_memory: str | None = None,
) -> Info:
    """Start a cluster of `nodes` nodes (default: 1) with both operators, the lab image and the artifact store, and wait until
    all of it is ready. Each node has `node_cpus` and `node_memory` ("4Gi") for pods, or all that the machine has.

    Returns `cluster.json`'s content. LabError names what this machine lacks, or what did not become ready and why."""
    own(folder.root)
    own(folder.run)
    with _alone(folder) as lock:
        source = Bundle.remembered(bundle, cluster_info.read(folder).get("bundle"))
        if source:
            bundle_fit.check(source)
            source.unpack_datasets()  # first: the lab image holds them, and is stale where they differ
        info = _created(folder, _wanted(folder, port, nodes, source, kubernetes, node_cpus, node_memory), source, lock)
        if source:
            _remember(folder, info, bundle=str(source.folder))
        name, kube = info["kind"], Kube(access.admin(folder))
        with stage("nodes ready"):
            running = _start(name)
            started = machines.started(running)
            machines.await_nodes(kube, name, started)
            routes.lay(kube, running)
        _remember(folder, info, images=_load(info, source))
        with stage("operators installed"):
            _remember(folder, info, applied=_install(folder, kube, source, info))
        with stage("everything ready"):
            machines.await_pods(kube, name, started)
        _remember(folder, info, complete=True)
        return info


def _wanted(
    folder: ClusterFolder,
    port: int | None,
    count: int | None,
    bundle: Bundle | None,
    kubernetes: str | None,
    cpus: int | None,
    memory: str | None,
) -> Info:
    """The content of cluster.json, which a new cluster gets; LabError where the options differ from the existing cluster."""
    info = cluster_info.read(folder)
    if not info:
        return {
            "name": folder.root.name,
            "engine": "kind",
            "kind": machines.kind_name(folder),
            "nodes": count or 1,
            "node_cpus": cpus,
            "node_memory": memory,
            "asked_port": port,
            "kubernetes": versions.minor(kubernetes or (bundle.content["kubernetes"] if bundle else None)),
            "created": timestamps.now(),
            "labkit": __version__,
            "images": {},
        }
    for what, asked, has in (
        ("nodes", count, info["nodes"]),
        ("CPUs of a node", cpus, info.get("node_cpus")),
        ("memory of a node", memory, info.get("node_memory")),
        ("Kubernetes", kubernetes and versions.minor(kubernetes), info["kubernetes"]),
        ("the port", port, info.get("port") or port),
    ):
        if asked and asked != has:
            raise LabError(
                f"the cluster exists already, with {what} {has or 'as the machine has'}",
                cluster_info.ANOTHER,
            )
    return info


def _created(folder: ClusterFolder, info: Info, bundle: Bundle | None, lock: int) -> Info:
    """Create the nodes' containers unless they exist."""
    name = info["kind"]
    programs.docker_info()
    there = machines.containers(name)
    if there and info.get("made"):
        return info
    recorded = folder.info.exists()
    if there and not recorded:
        raise LabError(
            f"Docker has nodes of a cluster {name}, but {folder.root} has no record of it",
            f"docker rm -f -v {' '.join(there)}",
        )
    node = bundle.node(info["kubernetes"]) if bundle else versions.node(info["kubernetes"])
    with stage("checks"):
        here = bool(docker_images.image_id(node.name))
        found = requirements.all(
            info["kubernetes"], info["asked_port"], requirements.DISK_GB / 2 if here else requirements.DISK_GB
        )
        reserved = node_size.reserved(found, info.get("node_cpus"), info.get("node_memory"))
    kind = programs.kind(versions.table()["kind"], bundle.kind() if bundle else None)
    for text in requirements.advice(kind):
        print(f"note: {text}", file=sys.stderr)
    if there:
        machines.delete(kind, name, access.admin(folder))
    if info.get("made"):
        print(f"the cluster's nodes are gone: {name} is created again")
    info |= {"made": False, "complete": False, "images": {}}
    _remember(folder, info)
    with stage(f"image {node.name}"):
        docker_images.ensure(node, bundle)
    with stage(f"{info['nodes']} nodes made" if info["nodes"] > 1 else "node made"):
        access.write(access.admin(folder), {})
        config = machines.config(info["nodes"], info["asked_port"], reserved)
        machines.create(kind, name, node.name, access.admin(folder), config, lock)
    server = yaml.safe_load(access.admin(folder).read_text())["clusters"][0]["cluster"]["server"]
    return _remember(folder, info, made=True, port=int(server.rpartition(":")[2]), node_image=node.name)


def _start(name: str) -> list[str]:
    """Start the containers that do not run; returns the names of those that run."""
    if any(state != "running" for state in machines.containers(name).values()):
        machines.start(name)
    return machines.running(name)


def _load(info: Info, bundle: Bundle | None) -> dict[str, str]:
    for image in docker_images.wanted():
        docker_images.ensure(image, bundle)
    docker_images.lab(bundle)
    names = [*(image.name for image in docker_images.wanted()), versions.LAB]
    theirs = [name for name in info["images"] if name not in names and docker_images.image_id(name)]  # by client.load
    return node_images.load([*names, *theirs], info["kind"], info["images"])


def _install(folder: ClusterFolder, kube: Kube, bundle: Bundle | None, info: Info) -> str:
    """Install the operators, the owner's account and the artifact store; returns what identifies the operators' manifests.

    Those (3 MB) are not applied again where `info` has the same identity and the Deployments exist, nor where they came from
    a bundle that can't be reached now."""
    access.grant(folder, kube)
    _schedulable(kube)
    applied = info.get("applied", "")
    wanted = applied if info.get("bundle") and not bundle and applied else operator_manifests.fingerprint(bundle)
    there = kube("get", "deployments", "-A", "-o", "jsonpath={.items[*].metadata.name}").split()
    if applied != wanted or not {"training-operator", "workflow-controller", "argo-server"} <= set(there):
        for name in operator_manifests.OPERATORS:
            kube.apply(operator_manifests.operator(name, bundle))
    access.artifact_store(kube)
    return wanted


def _schedulable(kube: Kube) -> None:
    """Every node is a machine for pods: where there are several, kubeadm keeps the first for itself."""
    for node in json.loads(kube("get", "nodes", "-o", "json"))["items"]:
        if any(t["key"] == "node-role.kubernetes.io/control-plane" for t in node["spec"].get("taints", [])):
            kube("taint", "node", node["metadata"]["name"], "node-role.kubernetes.io/control-plane:NoSchedule-")


def down(folder: ClusterFolder, purge: bool = False) -> bool:
    """Stop the nodes and keep what is in them, or delete them with all state; False when there was nothing to stop."""
    info = cluster_info.read(folder)
    if not info:
        return False
    own(folder.run)
    with _alone(folder):
        if not purge:
            return machines.stop(info["kind"])
        there = machines.containers(info["kind"])
        if there:
            programs.run([programs.docker(), "rm", "--force", "--volumes", *there], timeout=120)
    cluster_info.delete(folder.root)
    return True


def power(folder: ClusterFolder, node: str, on: bool) -> None:
    """Turn a node off, or turn it on and return when it is Ready; LabError for the node that the API runs on."""
    name = cluster_info.read(folder)["kind"]
    if not on and node.endswith("-control-plane"):
        raise LabError(
            f"{node} runs the API server: without it the cluster does not answer",
            "stop another node (labkit up --nodes 3 makes some); labkit down stops all nodes",
        )
    state = machines.containers(name)[node]
    if not on and state == "running":
        machines.kill(node)
    if on:
        if state != "running":
            programs.run([programs.docker(), "start", node], timeout=120)
        kube = Kube(access.admin(folder))
        machines.await_nodes(kube, name, machines.started([node]))
        routes.lay(kube, machines.running(name))


def status(folder: ClusterFolder) -> Info:
    """What runs: `{name, engine, state, api, folder, nodes, kubernetes}`; state is running, degraded (some nodes stopped,
    or not all installed), stopped, deleted (the nodes are gone), unreachable (Docker does not answer) or absent."""
    info = cluster_info.read(folder)
    found: Info = {"name": folder.root.name, "engine": "kind", "state": "absent", "api": "", "folder": str(folder.root)}
    if not info:
        return found
    try:
        states = machines.containers(info["kind"])
    except LabError as error:
        return found | {"state": "unreachable", "notes": [error.message, error.hint]}
    running = sum(state == "running" for state in states.values())
    if not states:
        state = "deleted"
    elif not running:
        state = "stopped"
    else:
        state = "running" if running == len(states) and info.get("complete") else "degraded"
    return found | {
        "state": state,
        "api": f"https://127.0.0.1:{info['port']}" if info.get("port") else "",
        "nodes": states,
        "kubernetes": info["kubernetes"],
        "notes": _notes(info) if states else [],
    }


def _notes(info: Info) -> list[str]:
    if lab_image.stale() or docker_images.image_id(versions.LAB) != info["images"].get(versions.LAB):
        return ["the lab image on the nodes was made from another version of labkit: labkit up brings the new one"]
    return []


def load(folder: ClusterFolder, image: str) -> str:
    """Bring an image that Docker has, or an archive of one, to every running node; returns its reference. A node that is off
    gets Docker's image with the next `up`."""
    info = cluster_info.read(folder)
    name = info["kind"]
    if Path(image).is_file():
        return node_images.load_archive(Path(image), name)
    if not docker_images.image_id(image):
        raise LabError(
            f"Docker has no image {image!r}", "docker build --tag NAME:TAG . makes one; docker images lists all"
        )
    _remember(folder, info, images=info["images"] | node_images.load([image], name, {}))
    return image


def last_words(folder: ClusterFolder, lines: int = 12) -> str:
    """The last lines of the nodes' kubelets."""
    return machines.last_words(cluster_info.read(folder)["kind"], lines)


def _remember(folder: ClusterFolder, info: Info, **changes: Any) -> Info:
    info |= changes
    cluster_info.write(folder, info)
    return info


@contextlib.contextmanager
def _alone(folder: ClusterFolder) -> Iterator[int]:
    """One `up` or `down` at a time; the lock's descriptor, for a program that must finish before the next begins."""
    with (folder.run / "up.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()
