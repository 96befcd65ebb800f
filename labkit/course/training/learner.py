"""A model, its loss, and one update of it: what all strategies have in common.

Made inside a strategy's scope, its variables live where that strategy puts them (here, on parameter servers, or
mirrored on every worker); the code is the same.
"""

from __future__ import annotations

from functools import partial

import keras
import tensorflow as tf

from labkit.course.training import architectures
from labkit.course.training.optimizer import Adam


class Learner:
    def __init__(self, name: str, shape: tuple[int, int], classes: int, seed: int, learning_rate: float) -> None:
        self._build = partial(architectures.build, name, shape, classes, seed)
        self.model = self._build()
        self.weights: list[tf.Variable] = [variable.value for variable in self.model.trainable_variables]
        self.optimizer = Adam(self.weights, learning_rate)

    def gradients(self, images: tf.Tensor, labels: tf.Tensor, batch: int) -> tuple[list, tf.Tensor, tf.Tensor]:
        """Of the loss summed over these examples and divided by the whole batch's size; with the loss, and the share
        that was right. Added up over machines which share a batch, each of the three is the whole batch's."""
        with tf.GradientTape() as tape:
            logits = self.model(images, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(losses) / batch
        right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)
        return tape.gradient(loss, self.weights), loss, tf.reduce_sum(tf.cast(right, tf.float32)) / batch

    def update(self, images: tf.Tensor, labels: tf.Tensor, batch: int) -> tuple[tf.Tensor, tf.Tensor]:
        """One step of training; returns its loss and accuracy."""
        gradients, loss, accuracy = self.gradients(images, labels, batch)
        self.optimizer.apply(gradients)
        return loss, accuracy

    def state(self) -> dict[str, tf.Variable]:
        """Every variable that a checkpoint must hold, by name."""
        named = {variable.path: variable.value for variable in self.model.trainable_variables}
        slots = {
            f"adam/{kind}/{path}": slot
            for kind, variables in (("mean", self.optimizer.mean), ("square", self.optimizer.square))
            for path, slot in zip(named, variables, strict=True)
        }
        return {**named, **slots, "adam/updates": self.optimizer.updates}

    def local_copy(self) -> keras.Model:
        """The model as it is now, in this process's memory."""
        model = self._build()
        for variable, weight in zip(model.trainable_variables, self.weights, strict=True):
            variable.assign(weight.numpy())
        return model
