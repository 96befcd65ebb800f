"""Training on one machine: `python -m labkit.course.training.single`. The others are measured against it.

The order of its updates is fixed, and one thread in an operation (the default) fixes the order of the sums: the same options and
data give the same weights up to rounding, also when it was interrupted and resumed. TensorFlow does not promise bit equality
across processes or CPUs.
"""

from __future__ import annotations

import sys

import tensorflow as tf

from labkit.course.training import loop, program
from labkit.course.training.options import Options
from labkit.course.training.task import Task


def run(options: Options, task: Task) -> int:
    loop.configure_threads(options)
    run = loop.begin(options, task)
    if loop.finished(run):
        return 0
    learner = run.learner()

    @tf.function(autograph=False)
    def update(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return learner.update(images, labels, options.batch_size)

    def advance(first: int, last: int) -> tuple[float, float]:
        results = [update(*map(tf.constant, run.batches.at(step))) for step in range(first, last)]
        return loop.mean(results)

    return loop.train(run, learner, advance)


if __name__ == "__main__":
    sys.exit(program.main(sys.argv[1:], "single"))
