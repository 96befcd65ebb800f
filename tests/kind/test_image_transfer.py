"""What travels to a node: an OCI layout of what it lacks. (That containerd takes it is shown on the real cluster.)"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from labkit.errors import LabError
from realkube.kind import image_transfer
from realkube.supply import docker_images

LAYERS = [b"base" * 200, b"labkit" * 100, b"base" * 200]  # the third is the first again


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


@dataclass
class Image:
    saved: image_transfer.Saved
    stored: list[bytes]  # the layers as they lie in the archive
    kind: str


@pytest.fixture(params=["folders and links", "blobs", "compressed blobs"])
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Image:
    """What `docker save` writes: up to version 24 a folder for each layer; an OCI layout since, which Docker's containerd
    store has compressed."""
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in LAYERS]}}).encode()
    packed = request.param == "compressed blobs"
    stored = [gzip.compress(layer, mtime=0) if packed else layer for layer in LAYERS]
    path = tmp_path / "image.tar"
    with tarfile.open(path, "w") as archive:
        if request.param == "folders and links":
            names, config_name = [f"{n}/layer.tar" for n in "abc"], "config.json"
            link = tarfile.TarInfo(names[2])
            link.type, link.linkname = tarfile.SYMTYPE, "../a/layer.tar"
            archive.addfile(link)
        else:
            names = [f"blobs/sha256/{digest(layer)[7:]}" for layer in stored]
            config_name = f"blobs/sha256/{digest(config)[7:]}"
        for name, layer in list(zip(names, stored, strict=True))[:2]:
            add(archive, name, layer)
        add(archive, config_name, config)
        add(archive, "manifest.json", json.dumps([{"Config": config_name, "Layers": names}]).encode())
    return Image(image_transfer.Saved.read(tarfile.open(path)), stored, "tar+gzip" if packed else "tar")


def layout(saved: image_transfer.Saved, without: set[str]) -> dict[str, bytes]:
    class Kept(io.BytesIO):
        def close(self) -> None:
            self.content = self.getvalue()
            super().close()

    to = Kept()
    image_transfer.write(saved, "docker.io/labkit/lab:1", to, without)
    with tarfile.open(fileobj=io.BytesIO(to.content)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def test_it_is_an_image_whose_every_digest_holds(image: Image) -> None:
    found = layout(image.saved, set())
    for name, content in found.items():
        if name.startswith("blobs/"):
            assert name == "blobs/" + digest(content).replace(":", "/")
    top = json.loads(found["index.json"])["manifests"][0]
    assert top["annotations"]["io.containerd.image.name"] == "docker.io/labkit/lab:1"
    manifest = json.loads(found["blobs/" + top["digest"].replace(":", "/")])
    assert [layer["digest"] for layer in manifest["layers"]] == [digest(layer) for layer in image.stored]
    assert [layer["size"] for layer in manifest["layers"]] == [len(layer) for layer in image.stored]
    assert {layer["mediaType"].rpartition(".")[2] for layer in manifest["layers"]} == {image.kind}
    for part in (manifest["config"], *manifest["layers"]):
        assert "blobs/" + part["digest"].replace(":", "/") in found


def test_a_layer_that_the_node_has_does_not_travel(image: Image) -> None:
    found = layout(image.saved, {digest(image.stored[0])})
    assert [content for content in found.values() if content in image.stored] == [image.stored[1]]


def docker_has(image: str) -> bool:
    return bool(shutil.which("docker")) and bool(docker_images.image_id(image))


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted")
def test_a_full_home_is_told_as_such_and_nothing_is_left_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not docker_has("busybox:1.36"):
        pytest.skip("needs Docker with busybox:1.36")
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "small", tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        with pytest.raises(LabError, match=f"{tmp_path} is full: 0.0 GB are free, busybox:1.36 needs") as caught:
            image_transfer.send("busybox:1.36", "docker.io/library/busybox:full", [])
        assert caught.value.hint == f"free some space in {tmp_path}, or set LABKIT_HOME to a folder on another disk"
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_another_failure_of_docker_is_told_in_its_own_words() -> None:
    if not docker_has("busybox:1.36"):
        pytest.skip("needs Docker with busybox:1.36")
    said = LabError("docker save failed: unexpected EOF")
    assert image_transfer._of_home(said, "busybox:1.36") is said
