"""Where the data sets are found: the user's Keras cache, Debian's package, Keras's download, scikit-learn's own files.

`load("auto")` takes Fashion-MNIST where any of the first three has it and scikit-learn's digits otherwise, so that the
course runs without a network; the data set says which it was. Fashion-MNIST that is there but can't be used is an error:
nobody gets digits because a file is damaged.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import struct
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from labkit.course.data import generated
from labkit.course.data.dataset import Dataset, validate
from labkit.errors import LabError

FASHION_CLASSES = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
FASHION_FILES = (
    ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
)
NAMES = tuple(name for pair in FASHION_FILES for name in pair)
SHA256 = {  # of the content, which can be packed in more than one way; smaller sets of one's own are not compared
    (60_000, 28, 28): "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    (60_000,): "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    (10_000, 28, 28): "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    (10_000,): "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
DOWNLOAD = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"  # where Keras itself takes them from
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


class NotFound(LabError):
    """This machine has no Fashion-MNIST and can't get it."""


def keras_cache() -> Path:
    """The folder in which Keras keeps Fashion-MNIST."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets" / "fashion-mnist"


def read_idx(path: Path) -> np.ndarray:
    """An array from a gzipped IDX file (format: the MNIST database's page); `LabError` naming a damaged file."""
    try:
        if not path.is_file():  # a folder, a link to nowhere, a pipe, which would be read for ever
            raise ValueError("it is no file")
        return parse_idx(path.read_bytes(), "images" in path.name)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        words = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise LabError(
            f"{path} is damaged or can't be read: {words}",
            "delete it, then it is fetched again; or put a sound copy in its place",
        ) from error


def parse_idx(packed: bytes, images: bool) -> np.ndarray:
    """The array in the bytes of a gzipped IDX file of Fashion-MNIST: images, or labels. ValueError, OSError, EOFError or
    zlib.error where they are something else."""
    content = gzip.decompress(packed)
    dimensions = 3 if images else 1
    if content[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"it begins with {content[:4].hex()}, not with the magic number 0000080{dimensions}")
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise ValueError("it ends in its header")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != int(np.prod(shape, dtype=object)):
        raise ValueError(f"it has {len(content) - start} bytes for an array of shape {shape}")
    expected = SHA256.get(shape)
    if expected and hashlib.sha256(content).hexdigest() != expected:
        raise ValueError("its checksum is not Fashion-MNIST's")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def present(folder: Path) -> list[str]:
    """Which of Fashion-MNIST's files the folder has, sound or not; `LabError` where it can't be looked into."""
    try:
        found = set(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        hint = "let it be a folder that you may read, or move it out of the way"
        raise LabError(f"{folder} can't be read: {error.strerror}", hint) from error
    return [name for name in NAMES if name in found]


def found_folder() -> Path | None:
    """Where this machine has Fashion-MNIST's four files, if anywhere."""
    return next((folder for folder in (keras_cache(), DEBIAN) if len(present(folder)) == len(NAMES)), None)


def _download(folder: Path) -> None:
    """Fetch what is missing into Keras's cache, as `keras.datasets.fashion_mnist.load_data` does. All of it, or nothing: the
    folder is made, and touched, only once everything has arrived and is sound."""
    arrived: dict[str, bytes] = {}
    for name in set(NAMES) - set(present(folder)):
        with urllib.request.urlopen(DOWNLOAD + name, timeout=20) as answer:
            arrived[name] = answer.read()
        try:
            parse_idx(arrived[name], "images" in name)
        except (EOFError, ValueError, zlib.error) as error:  # a proxy's page, say
            raise OSError(f"{DOWNLOAD}{name} is damaged: {error}") from error
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    parts = {folder / f"{name}.{os.getpid()}.part": folder / name for name in arrived}
    try:
        for part, path in parts.items():
            part.write_bytes(arrived[path.name])
        for part, path in parts.items():
            part.rename(path)
    except OSError:
        for path in (*parts, *parts.values()):
            path.unlink(missing_ok=True)
        for each in made:
            with contextlib.suppress(OSError):
                each.rmdir()
        raise


def fashion_mnist() -> Dataset:
    """70,000 images of 28 by 28 pixels, the 60,000 for training first. `NotFound` where none can be found, `LabError` that
    names the file where one is damaged or missing beside others."""
    folder = found_folder()
    source = str(folder)
    if folder is None:
        folder, source = keras_cache(), DOWNLOAD
        try:
            _download(folder)
        except (OSError, urllib.error.URLError) as error:
            raise _nowhere(error) from error
    parts = [(read_idx(folder / images), read_idx(folder / labels)) for images, labels in FASHION_FILES]
    for names, (images, labels) in zip(FASHION_FILES, parts, strict=True):
        if len(images) != len(labels):
            raise LabError(
                f"{folder / names[0]} has {len(images)} images, {folder / names[1]} {len(labels)} labels",
                "delete both, then they are fetched again",
            )
    return Dataset(
        name="fashion-mnist",
        source=source,
        classes=FASHION_CLASSES,
        images=np.concatenate([images for images, _ in parts]),
        labels=np.concatenate([labels for _, labels in parts]),
    )


def _nowhere(error: Exception) -> LabError:
    """Nothing was found, or only some of the files, and the download failed."""
    for folder in (keras_cache(), DEBIAN):
        if some := present(folder):
            missing = ", ".join(str(folder / name) for name in NAMES if name not in some)
            return LabError(
                f"Fashion-MNIST is incomplete: there is no {missing}, and the download failed: {error}",
                f"copy what is missing there, or delete {folder} to go on without it",
            )
    return NotFound(
        f"Fashion-MNIST is neither in {keras_cache()} nor in {DEBIAN}, and the download failed: {error}",
        "copy the four .gz files into the first folder, install Debian's dataset-fashion-mnist, "
        "or use --dataset digits, which needs no network",
    )


def digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits, enlarged from 8 by 8 to 28 by 28 pixels to fit the same models."""
    import sklearn.datasets  # takes half a second, and only this data set needs it

    bunch = sklearn.datasets.load_digits()
    enlarged = np.kron(bunch.images * (255 / 16), np.ones((3, 3))).round().astype(np.uint8)
    return Dataset(
        name="digits",
        source="scikit-learn's load_digits",
        classes=tuple(str(digit) for digit in range(10)),
        images=np.pad(enlarged, ((0, 0), (2, 2), (2, 2))),
        labels=bunch.target.astype(np.uint8),
    )


def auto() -> Dataset:
    try:
        return fashion_mnist()
    except NotFound:
        return digits()


DATASETS: dict[str, Callable[[], Dataset]] = {
    "auto": auto,
    "fashion-mnist": fashion_mnist,
    "digits": digits,
    "generated": lambda: generated.generate(10_000),
}


def load(name: str = "auto") -> Dataset:
    """A validated data set by its name in `DATASETS`; its `name` and `source` say what was taken."""
    if name not in DATASETS:
        raise LabError(f"there is no data set {name!r}", f"choose one of {', '.join(DATASETS)}")
    return validate(DATASETS[name]())
