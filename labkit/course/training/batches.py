"""Which examples an update sees: a pure function of the seed and the step's number.

So any process can make the batch of any step. A training that resumes at step 120 sees exactly what it would have seen,
and two machines that share a batch need not talk about who takes which part.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from labkit.course.data import Dataset
from labkit.errors import LabError


class Batches:
    """Batches of a fixed size, shuffled again in each epoch; an incomplete last batch is left out."""

    def __init__(self, dataset: Dataset, size: int, seed: int) -> None:
        if size > len(dataset):
            raise LabError(f"a batch of {size} from {len(dataset)} examples", "use a smaller --batch-size or more data")
        self.dataset = dataset
        self.size = size
        self.per_epoch = len(dataset) // size
        self._order = lru_cache(maxsize=2)(lambda epoch: np.random.default_rng([seed, epoch]).permutation(len(dataset)))

    def steps(self, epochs: float) -> int:
        return math.ceil(epochs * self.per_epoch)

    def at(self, step: int, share: int = 0, shares: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """The batch of `step` (from 0), or this machine's share of it: images (n, height, width, 1), labels (n,)."""
        epoch, number = divmod(step, self.per_epoch)
        indices = self._order(epoch)[number * self.size : (number + 1) * self.size][share::shares]
        return self.dataset.images[indices, ..., None], self.dataset.labels[indices].astype(np.int32)
