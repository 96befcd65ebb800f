"""A data set in shards: files of examples that machines read each on its own, and a manifest that ties them together.

    FOLDER/manifest.json      names each part's shards, with counts, checksums, classes, and the data's version
    FOLDER/train-00000.npz    arrays `images` and `labels`; FOLDER/validation-00000.npz, FOLDER/test-00000.npz

The version is a hash of the examples: it changes with any of them and stays with the same ones, whichever Python packed
them into a file. The file's own checksum tells a damaged one. The manifest is written last; a folder without one was never
finished.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from labkit.course.data import storage
from labkit.course.data.dataset import Dataset
from labkit.errors import LabError

MANIFEST = "manifest.json"


def contiguous(dataset: Dataset, count: int) -> list[np.ndarray]:
    """Runs of neighbours: fast to read, but if the data set is sorted, so is each shard."""
    return np.array_split(np.arange(len(dataset)), count)


def hashed(dataset: Dataset, count: int) -> list[np.ndarray]:
    """By a hash of the image: an example's shard stays the same when others come or go."""
    shard = np.array([int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:8]) % count for image in dataset.images])
    return [np.flatnonzero(shard == number) for number in range(count)]


def stratified(dataset: Dataset, count: int) -> list[np.ndarray]:
    """Dealt out class by class: each shard has the whole's mixture of classes, to within one example of each."""
    shard = np.empty(len(dataset), int)
    by_class = np.argsort(dataset.labels, kind="stable")
    shard[by_class] = np.arange(len(dataset)) % count
    return [np.flatnonzero(shard == number) for number in range(count)]


STRATEGIES: dict[str, Callable[[Dataset, int], list[np.ndarray]]] = {
    "contiguous": contiguous,
    "hash": hashed,
    "stratified": stratified,
}


def partition(dataset: Dataset, count: int, strategy: str = "stratified") -> list[Dataset]:
    """`count` disjoint data sets that make up the whole."""
    if strategy not in STRATEGIES:
        raise LabError(f"there is no way of sharding {strategy!r}", f"choose one of {', '.join(STRATEGIES)}")
    if not 1 <= count <= max(1, len(dataset)):
        raise LabError(f"{len(dataset)} examples do not make {count} shards", "ask for fewer, at least 1")
    return [dataset.take(indices) for indices in STRATEGIES[strategy](dataset, count)]


def write(url: str, parts: dict[str, Dataset], shards: int = 1, strategy: str = "stratified", seed: int = 0) -> dict:
    """Write the parts (`{"train": ..., "validation": ..., "test": ...}`) and return the manifest.

    `shards` and `strategy` are the training part's; the others are read whole and get one shard each.
    """
    described = {}
    for part, dataset in parts.items():
        pieces = partition(dataset, shards if part == "train" else 1, strategy)
        described[part] = {
            "examples": len(dataset),
            "shards": [_write_shard(url, f"{part}-{number:05}.npz", piece) for number, piece in enumerate(pieces)],
        }
    first = next(iter(parts.values()))
    manifest: dict[str, Any] = {
        "version": _version(described),
        "dataset": first.name,
        "source": first.source,
        "classes": list(first.classes),
        "shape": list(first.images.shape[1:]),
        "strategy": strategy,
        "seed": seed,
        "parts": described,
    }
    storage.write_json(storage.join(url, MANIFEST), manifest)
    return manifest


def _write_shard(url: str, name: str, dataset: Dataset) -> dict:
    buffer = io.BytesIO()
    np.savez(buffer, images=dataset.images, labels=dataset.labels)
    content = buffer.getvalue()
    storage.write_bytes(storage.join(url, name), content)
    return {
        "file": name,
        "examples": len(dataset),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "content": _hash(dataset.images, dataset.labels),
        "histogram": dataset.histogram(),
    }


def _hash(*arrays: np.ndarray) -> str:
    """Of what the arrays hold: a file's bytes are also those of the zipfile module that wrote it."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.str} {array.shape}\n".encode() + np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def _version(described: dict[str, dict]) -> str:
    total = hashlib.sha256()
    for part, description in sorted(described.items()):
        for shard in description["shards"]:
            total.update(f"{part} {shard['file']} {shard['content']}\n".encode())
    return total.hexdigest()[:12]


def read_manifest(url: str) -> dict:
    """The manifest; `LabError` if the folder has none, or one that does not belong to its own list of shards."""
    name = storage.join(url, MANIFEST)
    if not storage.exists(name):
        raise LabError(
            f"there are no data at {url}: {MANIFEST} is missing",
            "run the ingestion. If a workflow's ingestion was skipped because it is remembered (memoize), while its disk is "
            "another one by now: kubectl delete configmap labkit-ingestion, then run the workflow again",
        )
    manifest = storage.read_json(name)
    try:
        sound = manifest["version"] == _version(manifest["parts"])
    except (KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise LabError(f"{name} is no manifest, or its version does not fit its shards", "run the ingestion again")
    return manifest


def read_shard(url: str, manifest: dict, part: str, number: int) -> Dataset:
    """One shard, its checksum verified; `LabError` that names a missing or damaged file."""
    shards = _shards(url, manifest, part)
    if not 0 <= number < len(shards):
        raise LabError(f"{url} has {len(shards)} {part} shards, none is number {number}", "they count from 0")
    shard = shards[number]
    name = storage.join(url, shard["file"])
    content = storage.read_bytes(name)
    found = hashlib.sha256(content).hexdigest()
    if found != shard["sha256"]:
        raise LabError(
            f"{name} is damaged: its SHA-256 is {found[:12]}..., the manifest says {shard['sha256'][:12]}...",
            "delete the folder and run the ingestion again",
        )
    try:
        arrays = np.load(io.BytesIO(content), allow_pickle=False)
        images, labels = arrays["images"], arrays["labels"]
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise LabError(f"{name} is no shard: {error}", "delete the folder and run the ingestion again") from error
    return Dataset(manifest["dataset"], name, tuple(manifest["classes"]), images, labels)


def _shards(url: str, manifest: dict, part: str) -> list[dict]:
    if part not in manifest["parts"]:
        raise LabError(f"{url} has no part {part!r}", f"it has {', '.join(manifest['parts'])}")
    return manifest["parts"][part]["shards"]


def read(url: str, part: str = "train", shard: int | None = None) -> Dataset:
    """A part of the data set, all its shards in order or a single one, every checksum verified."""
    manifest = read_manifest(url)
    numbers = range(len(_shards(url, manifest, part))) if shard is None else [shard]
    pieces = [read_shard(url, manifest, part, number) for number in numbers]
    return Dataset(
        name=manifest["dataset"],
        source=manifest["source"],
        classes=tuple(manifest["classes"]),
        images=np.concatenate([piece.images for piece in pieces]),
        labels=np.concatenate([piece.labels for piece in pieces]),
    )


def verify(url: str) -> dict:
    """Read every shard against its checksum, one at a time in memory; returns the manifest."""
    manifest = read_manifest(url)
    for part in manifest["parts"]:
        for number in range(len(manifest["parts"][part]["shards"])):
            read_shard(url, manifest, part, number)
    return manifest
