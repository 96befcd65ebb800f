"""Adam (Kingma and Ba, 2015, arXiv:1412.6980), written out.

Keras's own optimizers refuse to run where a parameter server's worker runs them (outside of a replica context), and
nothing shows better what state an optimizer keeps beside each weight: two more variables of the same size. They are
made in the strategy's scope, and so live where the weights live.
"""

from __future__ import annotations

import tensorflow as tf

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7


class Adam(tf.Module):
    def __init__(self, variables: list[tf.Variable], learning_rate: float) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.weights = variables
        self.updates = tf.Variable(0.0, trainable=False, name="adam/updates")
        self.mean = [self._beside(weight, "adam/mean") for weight in variables]
        self.square = [self._beside(weight, "adam/square") for weight in variables]

    @staticmethod
    def _beside(weight: tf.Variable, name: str) -> tf.Variable:
        with tf.distribute.get_strategy().extended.colocate_vars_with(weight):
            return tf.Variable(tf.zeros(weight.shape), trainable=False, name=name)

    def apply(self, gradients: list[tf.Tensor]) -> None:
        """Move each weight against its gradient, by the learning rate at most (about).

        The arithmetic runs where the weight lives: a worker sends a gradient to the server, and nothing more.
        """
        self.updates.assign_add(1.0)
        count = self.updates.read_value()
        rate = self.learning_rate * tf.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
        for weight, gradient, mean, square in zip(self.weights, gradients, self.mean, self.square, strict=True):
            with tf.device(weight.device):
                mean.assign_add((1 - BETA_1) * (gradient - mean))
                square.assign_add((1 - BETA_2) * (gradient**2 - square))
                weight.assign_sub(rate * mean / (tf.sqrt(square) + EPSILON))
