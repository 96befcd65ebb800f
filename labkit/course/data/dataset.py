"""A data set in memory: gray images, a label for each, and where they came from.

Whatever is chosen here (a subset, a split) is chosen by a seed, so that two machines choose the same examples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from labkit.errors import LabError


@dataclass(frozen=True)
class Dataset:
    """`images`: uint8 (examples, height, width), 0 black to 255 white; `labels`: uint8 (examples,), indices of `classes`.

    `source` says where the examples were found, for people and for the manifest.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> Dataset:
        """The examples at these indices, in this order."""
        return replace(self, images=self.images[indices], labels=self.labels[indices])

    def histogram(self) -> list[int]:
        """How many examples there are of each class."""
        return np.bincount(self.labels, minlength=len(self.classes)).tolist()


def validate(dataset: Dataset) -> Dataset:
    """The same data set if it is sound; `LabError` that names the first fault otherwise."""
    images, labels = dataset.images, dataset.labels
    hint = f"the examples came from {dataset.source}; fetch them again or choose another data set"
    if images.ndim != 3:
        raise LabError(f"{dataset.name}: images of shape {images.shape}, not (examples, height, width)", hint)
    if labels.shape != (len(images),):
        raise LabError(f"{dataset.name}: labels of shape {labels.shape} for {len(images)} images", hint)
    if not len(images):
        raise LabError(f"{dataset.name}: no examples", hint)
    if np.issubdtype(images.dtype, np.floating) and not np.isfinite(images).all():
        first = int(np.argwhere(~np.isfinite(images).all(axis=(1, 2)))[0, 0])
        raise LabError(f"{dataset.name}: image {first} holds NaN or infinity", hint)
    if images.dtype != np.uint8:
        raise LabError(f"{dataset.name}: pixels are {images.dtype}, not uint8", hint)
    if not np.issubdtype(labels.dtype, np.integer):
        raise LabError(f"{dataset.name}: labels are {labels.dtype}, not whole numbers", hint)
    wrong = np.flatnonzero((labels < 0) | (labels >= len(dataset.classes)))
    if len(wrong):
        at = int(wrong[0])
        raise LabError(f"{dataset.name}: label {labels[at]} of example {at}, of {len(dataset.classes)} classes", hint)
    return dataset


def subset(dataset: Dataset, size: int | None, seed: int = 0) -> Dataset:
    """`size` examples drawn without replacement; all of them, in their order, where `size` is None or 0.

    A smaller subset of the same seed is a beginning of a larger one.
    """
    if not size:
        return dataset
    if size > len(dataset):
        raise LabError(f"{dataset.name} has {len(dataset)} examples, not {size}", f"ask for at most {len(dataset)}")
    return dataset.take(np.random.default_rng(seed).permutation(len(dataset))[:size])


def split(
    dataset: Dataset, validation: float = 0.1, test: float = 0.1, seed: int = 0
) -> tuple[Dataset, Dataset, Dataset]:
    """Training, validation and test part: disjoint, shuffled by the seed, together the whole."""
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise LabError(f"cannot hold out {validation:g} + {test:g} of the data", "the two shares must stay below 1")
    order = np.random.default_rng(seed).permutation(len(dataset))
    held, tested = round(len(dataset) * validation), round(len(dataset) * test)
    return (
        dataset.take(order[held + tested :]),
        dataset.take(order[:held]),
        dataset.take(order[held : held + tested]),
    )
