"""Synchronous training on several workers: `python -m labkit.course.training.multi_worker`, a TFJob of workers.

Each worker holds the whole model (MultiWorkerMirroredStrategy) and computes gradients on its share of each batch; the
shares' gradients are added up over the network (all-reduce) and every worker makes the same update. Up to rounding, the
result is that of one machine with the whole batch.

No worker can go on without the others: if one is lost, all end with code 138, start again and load the checkpoint.
"""

from __future__ import annotations

import os
import sys

import tensorflow as tf

from labkit.course.training import loop, program
from labkit.course.training.options import Options
from labkit.course.training.task import Task
from labkit.errors import LabError

RETRY = 138  # Kubeflow's convention for an error worth a restart: 128 + SIGUSR1


def run(options: Options, task: Task) -> int:
    loop.configure_threads(options)
    run = loop.begin(options, task)
    shares, share = len(task.members), task.members.index((task.type, task.index))
    if options.batch_size % shares:
        raise LabError(
            f"a batch of {options.batch_size} cannot be shared by {shares} workers evenly",
            "choose a --batch-size that is a multiple of the number of workers",
        )
    if loop.finished(run):
        return 0
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        with strategy.scope():
            learner = run.learner()

        def added_up(images: tf.Tensor, labels: tf.Tensor) -> tuple[list, tf.Tensor, tf.Tensor]:
            own = learner.gradients(images, labels, options.batch_size)
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, own)

        @tf.function(autograph=False)
        def update(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            gradients, loss, accuracy = strategy.run(added_up, (images, labels))
            learner.optimizer.apply(gradients)
            return loss, accuracy

        def advance(first: int, last: int) -> tuple[float, float]:
            batches = (run.batches.at(step, share, shares) for step in range(first, last))
            return loop.mean([update(*map(tf.constant, batch)) for batch in batches])

        return loop.train(run, learner, advance)
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError) as error:
        run.metrics.record("lost a worker", error=str(error).splitlines()[0][:200])
        run.metrics.flush()
        sys.stdout.flush()
        os._exit(RETRY)  # the strategy's threads wait for the lost worker and would keep the process


if __name__ == "__main__":
    sys.exit(program.main(sys.argv[1:], "multi-worker"))
