"""A Kubernetes that is there already, on which the two operators are installed: one namespace of it is used.

`up` copies one context of the user's kubeconfig into the cluster's folder, looks whether all that the course needs is
there and allowed, and makes the course's Role and artifact store in the namespace. It writes down what it made; `down`
removes that and nothing else. Nothing outside of the namespace is touched, and the user's kubeconfig is only read.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import tempfile
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
from realkube.existing import operators, rights
from realkube.kind import access
from realkube.programs import Kube
from realkube.supply import operator_manifests, versions

Object = dict[str, Any]
PATIENCE = 180  # seconds for an image to be pulled and a claim to be bound
MARK = {"app.kubernetes.io/managed-by": "labkit"}


def up(
    folder: ClusterFolder, context: str | None = None, namespace: str | None = None, image: str | None = None
) -> Object:
    """Make the namespace ready for the course; returns `cluster.json`'s content. LabError says what is missing there and
    how an administrator gives it. `image` is the lab image's name in a registry that the cluster can pull from."""
    info = cluster_info.read(folder)
    chosen = context or info.get("context")
    if not chosen:
        raise LabError(
            "the cluster's context is missing",
            "labkit up --engine existing --context NAME; `kubectl config get-contexts` lists the names",
        )
    config = _context(chosen, namespace or info.get("namespace"))
    space = config["contexts"][0]["context"]["namespace"]
    if info.get("made") and (chosen, space) != (info["context"], info["namespace"]):
        raise LabError(
            f"the cluster {folder.root.name!r} uses {info['namespace']} of {info['context']}, where it has made things",
            f"labkit down --name {folder.root.name} removes them; or another --name for this one",
        )
    looked = _looked_at(config, space)
    own(folder.root)
    access.write(folder.kubeconfig, config)
    kube = Kube(folder.kubeconfig)
    info = {
        "name": folder.root.name,
        "engine": "existing",
        "context": chosen,
        "namespace": space,
        **looked,
        "image": image or info.get("image") or versions.LAB,
        "created": info.get("created") or timestamps.now(),
        "labkit": __version__,
        "made": info.get("made", []),
    }
    cluster_info.write(folder, info)
    for thing in _course(kube, info):
        name = f"{thing['kind'].lower()}/{thing['metadata']['name']}"
        there = kube("get", name, "-n", space, "--ignore-not-found", "-o", "json")
        if there and json.loads(there)["metadata"].get("labels", {}).items() >= MARK.items():
            continue
        if there:
            raise LabError(f"{space} has a {name} that is not labkit's", "use a namespace of your own: --namespace")
        info["made"] = [*info["made"], name]
        cluster_info.write(folder, info)
        kube.apply(yaml.safe_dump(thing), "-n", space)
    _await_store(kube, info)
    return info


def _await_store(kube: Kube, info: Object) -> None:
    """Return when the artifact store answers; LabError with what its pods wait for."""
    space = info["namespace"]
    what = ("deployment/artifact-store", "--for=condition=Available", f"--timeout={PATIENCE}s")
    try:
        kube("wait", "-n", space, *what, timeout=PATIENCE + 20)
    except LabError as error:
        reasons = (
            "{range .items[*].status.containerStatuses[*]}{.state.waiting.reason}: {.state.waiting.message}{'\\n'}{end}"
        )
        said = kube("get", "pods", "-n", space, "-l", "app=artifact-store", "-o", f"jsonpath={reasons}").strip(": \n")
        raise LabError(
            f"the artifact store in {space} is not ready after {PATIENCE} s: {said or error.message}",
            f"the cluster must be able to pull {info['image']} (--image NAME) and to give a claim of 2Gi; "
            f"labkit logs --name {info['name']} shows the namespace's events",
        ) from error


def _context(name: str, namespace: str | None) -> Object:
    """One context of the user's kubeconfig, alone, with everything that it needs inside."""
    command = [programs.kubectl(), "config", "view", "--minify", "--flatten", "--raw", "--context", name, "-o", "json"]
    try:
        found: Object = json.loads(programs.run(command, env=os.environ))
    except LabError as error:
        where = os.environ.get("KUBECONFIG") or Path("~/.kube/config").expanduser()
        raise LabError(f"there is no context {name!r} in {where}", "kubectl config get-contexts lists them") from error
    inner = found["contexts"][0]["context"]
    inner["namespace"] = namespace or inner.get("namespace") or "default"
    return found


def _looked_at(config: Object, namespace: str) -> Object:
    """What the cluster has, as cluster.json says it; LabError where something is missing. Nothing is kept of who asked."""
    with tempfile.TemporaryDirectory(prefix="labkit-existing-") as private:
        kube = Kube(Path(private) / "kubeconfig")
        access.write(kube.kubeconfig, config)
        found = _version(kube)
        operators.check(kube)
        rights.check(kube, namespace)
        return {"kubernetes": found, "operators": operators.images(kube)}


def _version(kube: Kube) -> str:
    try:
        server = json.loads(kube("get", "--raw", "/version", timeout=30))
    except LabError as error:
        raise LabError(f"the cluster does not answer: {error.message}", "kubectl version must work with it") from error
    return f"{server['major']}.{server['minor'].rstrip('+')}"


def _course(kube: Kube, info: Object) -> Iterator[Object]:
    """What the namespace gets: the steps' Role, and an artifact store of its own."""
    space = info["namespace"]
    things = list(yaml.safe_load_all((versions.FOLDER.parent / "workflows" / "access.yaml").read_text()))
    key = {"accesskey": f"labkit{secrets.token_hex(8)}", "secretkey": secrets.token_hex(24)}
    data = {name: base64.b64encode(value.encode()).decode() for name, value in key.items()}
    things.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "artifact-store"}, "data": data})
    text = operator_manifests.own("artifacts").replace("labkit-system", space).replace(versions.LAB, info["image"])
    things += yaml.safe_load_all(text)
    for thing in things:
        thing["metadata"].pop("namespace", None)
        thing["metadata"]["labels"] = thing["metadata"].get("labels", {}) | MARK
        yield thing


def down(folder: ClusterFolder, purge: bool = False) -> bool:
    """Remove what `up` made; `purge` also forgets the cluster. False when there was nothing."""
    info = cluster_info.read(folder)
    if not info:
        return False
    made = info["made"]
    if made:
        Kube(folder.kubeconfig)("delete", "-n", info["namespace"], "--ignore-not-found", *reversed(made))
        cluster_info.write(folder, info | {"made": []})
    if purge:
        cluster_info.delete(folder.root)
    return bool(made) or purge


def status(folder: ClusterFolder) -> Object:
    """`{name, engine, state, api, folder, namespace, kubernetes, notes}`; state is running, stopped (nothing of labkit's is
    there), unreachable or absent."""
    info = cluster_info.read(folder)
    found: Object = {
        "name": folder.root.name,
        "engine": "existing",
        "state": "absent",
        "api": "",
        "folder": str(folder.root),
    }
    if not info:
        return found
    notes = [*operators.kubernetes_notes(info["kubernetes"]), *operators.notes(info.get("operators", {}))]
    found |= {
        "api": yaml.safe_load(folder.kubeconfig.read_text())["clusters"][0]["cluster"]["server"],
        "namespace": info["namespace"],
        "kubernetes": info["kubernetes"],
        "state": "running" if info["made"] else "stopped",
        "notes": notes,
    }
    try:
        Kube(folder.kubeconfig)("get", "--raw", "/version", timeout=20)
    except LabError as error:
        found |= {"state": "unreachable", "notes": [*notes, error.message]}
    return found


def last_words(folder: ClusterFolder, lines: int = 12) -> str:
    """The namespace's last events: the cluster's own logs are its administrator's."""
    info = cluster_info.read(folder)
    said = Kube(folder.kubeconfig)("get", "events", "-n", info["namespace"], "--sort-by=.lastTimestamp")
    return "\n".join(said.splitlines()[-lines:])
