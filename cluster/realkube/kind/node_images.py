"""Images on their way from Docker into the nodes' containerd.

The cluster records what was loaded (`images` in cluster.json: name to Docker's id), so that the second `up` loads nothing,
and a lab image that was rebuilt is loaded again.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from labkit.errors import LabError
from realkube import programs
from realkube.kind import image_transfer, node_containers
from realkube.stages import stage
from realkube.supply import docker_images


def load(names: list[str], cluster: str, remembered: dict[str, str]) -> dict[str, str]:
    """Load the images that a node lacks; returns name to id of all that the nodes have now. `remembered` is the result of the
    last call."""
    ids = {name: docker_images.image_id(name) for name in names}
    on_nodes = [_names(node) for node in node_containers.running(cluster)]
    for name in names:
        there = all(_full(name) in found for found in on_nodes)
        if there and remembered.get(name) == ids[name]:
            continue
        with stage(f"image {name}"):
            image_transfer.send(name, _full(name), node_containers.running(cluster))
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
    for node in node_containers.running(cluster):
        with path.open("rb") as file:
            programs.run([programs.docker(), "exec", "-i", node, *image_transfer.IMPORT], timeout=1200, stdin=file)
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
