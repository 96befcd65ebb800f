"""The end of a training: the accuracy on examples that it never saw, and the model in a form that can be served."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from labkit.course import data
from labkit.course.data import storage
from labkit.course.training.outputs import SAVED_MODEL


def evaluate(model: keras.Model, dataset: data.Dataset, batch: int = 500) -> tuple[float, float]:
    """Mean loss and share of right answers."""
    loss = right = 0.0
    for start in range(0, len(dataset), batch):
        images = dataset.images[start : start + batch, ..., None]
        labels = dataset.labels[start : start + batch].astype(np.int32)
        logits = model(images, training=False)
        loss += float(tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)))
        right += int(np.sum(np.argmax(logits, axis=1) == labels))
    return loss / len(dataset), right / len(dataset)


def save(model: keras.Model, shape: tuple[int, int], url: str) -> None:
    """A SavedModel whose signature takes `images`, uint8 (n, height, width), and returns `probabilities`, (n, classes)."""

    @tf.function(input_signature=[tf.TensorSpec((None, *shape), tf.uint8, name="images")])
    def predict(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": tf.nn.softmax(model(images[..., None], training=False))}

    module = tf.Module()
    module.variables_of_model = [variable.value for variable in model.variables]
    module.predict = predict
    with tempfile.TemporaryDirectory(prefix="export-") as temporary:
        folder = Path(temporary) / SAVED_MODEL
        tf.saved_model.save(module, str(folder), signatures={"serving_default": predict})
        storage.replace_folder(folder, url)
