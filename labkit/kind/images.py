"""Images on their way to the nodes: from a registry or a bundle's archive into Docker, from Docker into containerd.

What was loaded is remembered with the cluster (`images` in cluster.json: name to Docker's id), so that the second `up`
loads nothing, and a lab image that was built anew is loaded again.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path

from labkit.errors import LabError
from labkit.kind import lab_image, nodes, programs, transfer, versions
from labkit.kind.bundle import Bundle
from labkit.kind.progress import stage
from labkit.kind.versions import Image


def image_id(name: str) -> str:
    """Docker's id of a local image; '' where it has none of that name."""
    done = subprocess.run(
        [programs.docker(), "image", "inspect", "--format", "{{.Id}}", name], capture_output=True, text=True, timeout=30
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def ensure(image: Image, bundle: Bundle | None) -> str:
    """Have the image in Docker under its name: it is there, or comes out of the bundle, or from its registry."""
    if image_id(image.name):
        return image.name
    if bundle:
        bundle.load(image.role)
        if not image_id(image.name):
            raise LabError(
                f"images/{image.role}.tar.gz of the bundle {bundle.folder} holds no {image.name}",
                f"labkit bundle create {bundle.folder} on a machine with a network makes it again",
            )
        return image.name
    try:
        programs.run([programs.docker(), "pull", "--quiet", image.pull], timeout=1800)
    except LabError as error:
        raise LabError(
            f"the image {image.pull} can't be pulled: {error.message}",
            "without a network use a bundle that was made with one: labkit up --engine kind --bundle DIR",
        ) from error
    programs.run([programs.docker(), "tag", image.pull, image.name])
    return image.name


def lab(bundle: Bundle | None) -> None:
    """Have a lab image that is made of this labkit: the bundle's, where it is, or built."""
    if not lab_image.stale():
        return
    if bundle and not lab_image._there(lab_image.packages_name()):
        bundle.load("lab")
    if lab_image.stale():
        if not lab_image._there(lab_image.packages_name()):
            ensure(versions.base(), bundle)
        lab_image.build(versions.base().name)


def load(names: list[str], cluster: str, remembered: dict[str, str]) -> dict[str, str]:
    """Have the images on every node; returns name to id of all that is there now. `remembered` is what the last call
    returned."""
    ids = {name: image_id(name) for name in names}
    on_nodes = [_names(node) for node in nodes.running(cluster)]
    for name in names:
        there = all(_full(name) in found for found in on_nodes)
        if there and remembered.get(name) == ids[name]:
            continue
        with stage(f"image {name}"):
            transfer.send(name, _full(name), nodes.running(cluster))
    return remembered | ids


def load_archive(path: Path, cluster: str) -> str:
    """Import an archive of `docker save` (or an OCI one) into every node; the image's reference, as the archive has it."""
    try:
        with tarfile.open(path) as archive:
            name = _reference(archive)
    except (OSError, KeyError, IndexError, ValueError, tarfile.TarError) as error:
        raise LabError(
            f"{path} is no archive of an image: {error}", "docker save IMAGE --output FILE makes one"
        ) from error
    for node in nodes.running(cluster):
        with path.open("rb") as file:
            programs.run([programs.docker(), "exec", "-i", node, *transfer.IMPORT], timeout=1200, stdin=file)
    return name


def _reference(archive: tarfile.TarFile) -> str:
    members = archive.getnames()
    which = "manifest.json" if "manifest.json" in members else "index.json"
    content = json.load(archive.extractfile(which))  # type: ignore[arg-type]
    if which == "manifest.json":
        return str(content[0]["RepoTags"][0])
    notes = content["manifests"][0]["annotations"]
    return str(notes.get("io.containerd.image.name") or notes["org.opencontainers.image.ref.name"])


def _names(node: str) -> set[str]:
    said = programs.run([programs.docker(), "exec", node, "ctr", "-n", "k8s.io", "images", "ls", "-q"], timeout=60)
    return set(said.split())


def _full(name: str) -> str:
    """containerd's name for what Docker calls `busybox:1.36`."""
    first = name.split("/")[0]
    if "/" not in name:
        return f"docker.io/library/{name}"
    return name if "." in first or ":" in first else f"docker.io/{name}"


def wanted() -> list[Image]:
    """What the nodes need beside the lab image."""
    return list(versions.images().values())
