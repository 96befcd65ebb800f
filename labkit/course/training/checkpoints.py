"""The state of a training on disk, so that another process can go on from it.

The process that calls does the file I/O by itself, wherever the variables live: parameter servers need no disk. At an
object store the files are written here first and copied.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import tensorflow as tf

from labkit.course.data import storage

KEEP = 2


class Checkpoints:
    """Checkpoints of `state` below `url`, named by their step; the newest `KEEP` are kept."""

    def __init__(self, url: str, state: dict[str, tf.Variable]) -> None:
        self._url = url
        self._local = storage.is_local(url)
        self._temporary = None if self._local else tempfile.TemporaryDirectory(prefix="checkpoints-")
        self._folder = storage.local_path(url) if self._local else Path(self._temporary.name)  # type: ignore[union-attr]
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        here = tf.constant(0).device  # this process's name in the cluster
        self._options = tf.train.CheckpointOptions(experimental_io_device=here)
        self._checkpoint = tf.train.Checkpoint(step=self._step, state=state)
        if not self._local:
            storage.download(url, self._folder)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(self._folder), max_to_keep=KEEP, checkpoint_name="step"
        )

    def restore(self) -> int:
        """Load the newest checkpoint and return its step; 0 if there is no checkpoint to load."""
        newest = self._manager.latest_checkpoint
        if newest is None:
            return 0
        self._checkpoint.restore(newest, self._options).assert_consumed()
        return int(self._step.numpy())

    def save(self, step: int) -> None:
        self._step.assign(step)
        self._manager.save(checkpoint_number=step, options=self._options)
        if not self._local:
            self._copy(step)

    def _copy(self, step: int) -> None:
        """To the object store: the pointer `checkpoint` last, so that it never names what is not there yet."""
        for path in sorted(self._folder.glob(f"step-{step}.*")):
            storage.write_bytes(storage.join(self._url, path.name), path.read_bytes())
        storage.write_bytes(storage.join(self._url, "checkpoint"), (self._folder / "checkpoint").read_bytes())
