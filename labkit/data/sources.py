"""Where the data sets are found: the user's Keras cache, Debian's package, Keras's download, scikit-learn's own files.

`load("auto")` takes Fashion-MNIST where any of the first three has it and scikit-learn's digits otherwise, so that the
course runs without a network; the data set says which it was.
"""

from __future__ import annotations

import gzip
import os
import struct
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np

from labkit.data import generated
from labkit.data.dataset import Dataset, validate
from labkit.errors import LabError

FASHION_CLASSES = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
FASHION_FILES = (
    ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
)
DOWNLOAD = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"  # where Keras itself takes them from
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def keras_cache() -> Path:
    """The folder in which Keras keeps Fashion-MNIST."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets" / "fashion-mnist"


def read_idx(path: Path) -> np.ndarray:
    """An array from a gzipped IDX file (format: the MNIST database's page); `LabError` naming a damaged file."""
    try:
        content = gzip.decompress(path.read_bytes())
        dimensions = content[3]
        shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError, struct.error, gzip.zlib.error) as error:  # type: ignore[attr-defined]
        raise LabError(f"{path} is damaged: {error}", "delete the file, then it is fetched again") from error


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for pair in FASHION_FILES for name in pair)


def _download(folder: Path) -> None:
    """Fetch the four files into Keras's cache, as `keras.datasets.fashion_mnist.load_data` does."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (name for pair in FASHION_FILES for name in pair):
        if (folder / name).is_file():
            continue
        with urllib.request.urlopen(DOWNLOAD + name, timeout=20) as answer:
            content = answer.read()
        partial = folder / f"{name}.part"
        partial.write_bytes(content)
        partial.rename(folder / name)


def found_folder() -> Path | None:
    """Where this machine has Fashion-MNIST's four files, if anywhere."""
    return next((folder for folder in (keras_cache(), DEBIAN) if _complete(folder)), None)


def fashion_mnist() -> Dataset:
    """70,000 images of 28 by 28 pixels, the 60,000 for training first; `LabError` where none can be found."""
    folder = found_folder()
    source = str(folder)
    if folder is None:
        folder, source = keras_cache(), DOWNLOAD
        try:
            _download(folder)
        except (OSError, urllib.error.URLError) as error:
            raise LabError(
                f"Fashion-MNIST is neither in {keras_cache()} nor in {DEBIAN}, and the download failed: {error}",
                "copy the four .gz files into the first folder, install Debian's dataset-fashion-mnist, "
                "or use --dataset digits, which needs no network",
            ) from error
    parts = [(read_idx(folder / images), read_idx(folder / labels)) for images, labels in FASHION_FILES]
    return Dataset(
        name="fashion-mnist",
        source=source,
        classes=FASHION_CLASSES,
        images=np.concatenate([images for images, _ in parts]),
        labels=np.concatenate([labels for _, labels in parts]),
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
    except LabError:
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
