"""A data set of any size, made as it is read: for the course's questions of scale, where a real one would not fit.

Each class is a fixed random pattern; an example is its class's pattern under noise. Example `i` depends on the seed and
on the block that `i` falls into alone, so that any part of a data set of a billion examples can be made by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labkit.course.data.dataset import Dataset

CLASSES = tuple(f"pattern {number}" for number in range(10))
BLOCK = 4096


def _block(block: int, side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    patterns = np.random.default_rng([seed, 0]).integers(0, 256, (len(CLASSES), side, side))
    random = np.random.default_rng([seed, 1, block])
    labels = random.integers(0, len(CLASSES), BLOCK).astype(np.uint8)
    noise = random.normal(0, 80, (BLOCK, side, side))
    return np.clip(patterns[labels] + noise, 0, 255).astype(np.uint8), labels


def stream(size: int, side: int = 28, seed: int = 0, start: int = 0, chunk: int = BLOCK) -> Iterator[Dataset]:
    """Examples `start` to `size` in data sets of at most `chunk` examples, one at a time in memory."""
    source = f"generated (seed {seed})"
    while start < size:
        block, offset = divmod(start, BLOCK)
        images, labels = _block(block, side, seed)
        count = min(chunk, BLOCK - offset, size - start)
        part = slice(offset, offset + count)
        yield Dataset("generated", source, CLASSES, images[part], labels[part])
        start += count


def generate(size: int, side: int = 28, seed: int = 0) -> Dataset:
    """The whole in memory: `size` times `side` squared bytes."""
    parts = list(stream(size, side, seed))
    images = np.concatenate([part.images for part in parts]) if parts else np.zeros((0, side, side), np.uint8)
    labels = np.concatenate([part.labels for part in parts]) if parts else np.zeros(0, np.uint8)
    return Dataset("generated", f"generated (seed {seed})", CLASSES, images, labels)
