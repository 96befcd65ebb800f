"""Input and output artifacts of one pod: fetched before main starts, stored after it ends.

Mechanism. An artifact is data at a key of a location: the cluster's folder (`artifacts/NAMESPACE/KEY`) or a bucket; or
it is given literally (`raw`) or by a URL. Artifacts are never loaded into memory as a whole: files are copied, packed
and unpacked in a thread, buckets are handled by rclone. An artifact is stored under its key atomically.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kubeproc.argo.executor import archives, s3
from kubeproc.argo.executor.task import TaskError

Object = dict[str, Any]
Secret = Callable[[str, str], Awaitable[str]]  # (name, key) of a Secret of the namespace -> its value

KINDS = ("artifactory", "azure", "gcs", "git", "hdfs", "oss", "plugin")  # Argo has them, this cluster does not
CHUNK = 1 << 20


@dataclass(frozen=True)
class Folder:
    """The default repository: a folder of the cluster for each namespace."""

    root: Path

    def path(self, key: str) -> Path:
        """The path of `key`; TaskError if it is outside the folder: a stored folder can contain links from a
        container."""
        parts = PurePosixPath("/" + key).parts[1:]
        found = self.root.joinpath(*parts)
        inside = parts and ".." not in parts and "\0" not in key
        if not inside or not Path(os.path.realpath(found)).is_relative_to(os.path.realpath(self.root)):
            raise TaskError(f"the artifact's key {key!r} leaves its repository")
        return found

    async def save(self, source: Path, key: str) -> None:
        """Copy a file or folder to its key; a `source` from `stage` is moved."""
        target = self.path(key)
        staged = source if source.name.startswith(".staged-") and source.parent == target.parent else self.stage(key)
        if staged != source:
            await asyncio.to_thread(_copy, source, staged)
        if target.is_dir() or staged.is_dir():
            archives.remove(target)
        os.replace(staged, target)

    def stage(self, key: str) -> Path:
        """A path for preparing what `save` will store at `key`."""
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.with_name(f".staged-{uuid.uuid4().hex}")

    async def load(self, key: str, target: Path) -> None:
        source = self.path(key)
        if not source.exists():
            raise TaskError("failed to get file: The specified key does not exist.", missing=True)
        await asyncio.to_thread(_copy, source, target)

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        try:
            file = self.path(key).open("rb")
        except FileNotFoundError:
            raise TaskError("The specified key does not exist.", missing=True) from None
        with file:
            while data := await asyncio.to_thread(file.read, CHUNK):
                yield data


@dataclass(frozen=True)
class Store:
    """A bucket of an S3 store; `scratch` is where archives are created before upload."""

    bucket: s3.Bucket
    scratch: Path

    async def save(self, source: Path, key: str) -> None:
        await s3.upload(self.bucket, source, key)

    def stage(self, key: str) -> Path:
        self.scratch.mkdir(parents=True, exist_ok=True)
        return self.scratch / f".staged-{uuid.uuid4().hex}"

    async def load(self, key: str, target: Path) -> None:
        await s3.download(self.bucket, key, target)

    def stream(self, key: str) -> AsyncIterator[bytes]:
        return s3.stream(self.bucket, key)


Place = Folder | Store


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copyfile(source, target)
        shutil.copymode(source, target)


def has_bucket(location: Object | None) -> bool:
    given = (location or {}).get("s3") or {}
    return bool(given.get("bucket"))


def key_of(location: Object) -> str:
    return ((location or {}).get("s3") or {}).get("key") or ""


async def place(location: Object, folder: Path, scratch: Path, secret: Secret) -> Place:
    """The place of the data of `location` (an artifact, or an archiveLocation): a bucket, else the namespace's
    `folder`."""
    for kind in KINDS:
        if location.get(kind):
            raise TaskError(f"Unsupported artifact driver for {location.get('name', kind)}: {kind}")
    given = location.get("s3") or {}
    if not given.get("bucket"):
        return Folder(folder)
    if not given.get("endpoint"):
        raise TaskError("s3.endpoint: required with a bucket")
    keys = []
    for field in ("accessKeySecret", "secretKeySecret"):
        selector = given.get(field)
        keys.append(await secret(selector["name"], selector["key"]) if selector else "")
    bucket = s3.Bucket(
        given["endpoint"], given["bucket"], bool(given.get("insecure")), given.get("region") or "us-east-1", *keys
    )
    return Store(bucket, scratch)


def relocated(artifact: Object, archive: Object | None) -> Object:
    """The artifact with the repository's bucket, if it has a key and no bucket of its own."""
    if has_bucket(artifact) or not has_bucket(archive) or not key_of(artifact):
        return artifact
    return artifact | {"s3": (archive or {})["s3"] | {"key": key_of(artifact)}}
