"""An image's way from Docker into the nodes: only the layers that a node lacks travel.

`docker save` writes all of an image. containerd takes an OCI layout, and need not be given what it has already: an archive
of the manifest, the configuration and the missing layers is enough, and a changed labkit is on the nodes in seconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from labkit import paths
from labkit.errors import LabError
from realkube import programs

IMPORT = [
    "ctr",
    "--namespace=k8s.io",
    "images",
    "import",
    "--all-platforms",
    "--digests",
    "--snapshotter=overlayfs",
    "-",
]
SECONDS = 1200  # that an image may take on its way
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
PACKED = {b"\x1f\x8b": "+gzip", b"\x28\xb5\x2f\xfd": "+zstd"}  # first bytes: what the layer's media type ends in
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Layer:
    """`digest` is that of the bytes in the archive, which Docker's containerd store has compressed."""

    digest: str
    kind: str
    member: tarfile.TarInfo

    @classmethod
    def read(cls, archive: tarfile.TarFile, name: str, diff_id: str) -> Layer:
        member = _member(archive, name)
        file = archive.extractfile(member)
        head = file.read(4) if file else b""
        suffix = next((suffix for start, suffix in PACKED.items() if head.startswith(start)), "")
        digest = f"sha256:{Path(name).name}" if name.startswith("blobs/sha256/") else diff_id
        return cls(digest, LAYER + suffix, member)


@dataclass(frozen=True)
class Saved:
    """An archive of `docker save`: its layers from below, and the image's configuration."""

    archive: tarfile.TarFile
    config: bytes
    layers: list[Layer]

    @classmethod
    def read(cls, archive: tarfile.TarFile) -> Saved:
        said = json.loads(_content(archive, "manifest.json"))[0]
        config = _content(archive, said["Config"])
        digests = json.loads(config)["rootfs"]["diff_ids"]
        layers = [Layer.read(archive, *pair) for pair in zip(said["Layers"], digests, strict=True)]
        return cls(archive, config, layers)


def send(name: str, full: str, nodes: Iterable[str]) -> None:
    """Bring Docker's image `name` to the nodes, where it is called `full`; LabError with the last words of what failed."""
    with tempfile.TemporaryFile(dir=paths.home()) as file:  # it has no name: whatever ends this, nothing is left of it
        try:
            programs.run([programs.docker(), "save", name], stdout=file, timeout=SECONDS)
        except LabError as error:
            raise _of_home(error, name) from error
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            saved = Saved.read(archive)
            for node in nodes:
                _import(saved, full, node)


def _of_home(error: LabError, image: str) -> LabError:
    """The same, or where labkit's home is full, with what helps there: Docker's own disk may have room."""
    home = paths.home()
    free = shutil.disk_usage(home).free
    size = int(programs.run([programs.docker(), "image", "inspect", "--format", "{{.Size}}", image], timeout=30))
    if "no space left" not in error.message.lower() or free >= size:
        return error
    return LabError(
        f"{home} is full: {free / 2**30:.1f} GB are free, {image} needs {size / 2**30:.1f} GB there on its way to the nodes: "
        f"{error.message}",
        f"free some space in {home}, or set LABKIT_HOME to a folder on another disk",
    )


def _import(saved: Saved, full: str, node: str) -> None:
    has = set(programs.run([programs.docker(), "exec", node, "ctr", "-n", "k8s.io", "content", "ls", "-q"]).split())
    command = [programs.docker(), "exec", "-i", node, *IMPORT]
    with tempfile.TemporaryFile() as words:
        with (
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=words, stderr=words) as process,
            _deadline(process),
        ):
            assert process.stdin
            with contextlib.suppress(BrokenPipeError):  # it has ended, and says why
                write(saved, full, process.stdin, has)
            process.wait()
        if process.returncode:
            words.seek(0)
            said = " ".join(words.read().decode(errors="replace").strip().splitlines()[-3:])
            hint = programs.remedy(said) or "labkit up tries it again"
            raise LabError(f"image {full} can't be loaded into {node}: {said}", hint)


def write(saved: Saved, full: str, to: IO[bytes], without: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """Write the image to `to` as an OCI layout, without the layers whose digests are in `without`; closes `to`."""
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(CONFIG, _digest(saved.config), len(saved.config)),
            "layers": [_descriptor(layer.kind, layer.digest, layer.member.size) for layer in saved.layers],
        }
    )
    named = {"io.containerd.image.name": full, "org.opencontainers.image.ref.name": full.rpartition(":")[2]}
    main = _descriptor(MANIFEST, _digest(manifest), len(manifest)) | {"annotations": named}
    with to, tarfile.open(fileobj=to, mode="w|") as layout:
        _add(layout, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(layout, "index.json", _json({"schemaVersion": 2, "manifests": [main]}))
        for content in (manifest, saved.config):
            _add(layout, _blob(_digest(content)), content)
        for digest, layer in {layer.digest: layer for layer in saved.layers if layer.digest not in without}.items():
            entry = tarfile.TarInfo(_blob(digest))
            entry.size = layer.member.size
            layout.addfile(entry, saved.archive.extractfile(layer.member))


@contextlib.contextmanager
def _deadline(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A process that hangs is killed: nothing waits for it for ever."""
    timer = threading.Timer(SECONDS, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _member(archive: tarfile.TarFile, name: str) -> tarfile.TarInfo:
    """The file of that name; a layer that stands twice in an image is a link to itself the second time."""
    found = archive.getmember(name)
    while found.issym() or found.islnk():
        target = found.linkname if found.islnk() else str(Path(found.name).parent / found.linkname)
        found = archive.getmember(_normal(target))
    return found


def _normal(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file, name
    return file.read()


def _add(layout: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    layout.addfile(entry, io.BytesIO(content))


def _descriptor(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": size}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _json(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
