"""Training with parameter servers: `python -m labkit.course.training.parameter_server`, a TFJob of chief, workers and ps.

The variables live on the parameter servers. The chief reads the data and hands out updates, each with its batch; a
worker that is free takes the next one, pulls the weights it needs, computes gradients and pushes them to the servers,
without waiting for the others: the updates are asynchronous. With a single worker they come one after another, and the
result is that of one machine.

- A worker is lost: the coordinator gives its update to another, and takes it back when it returns.
- A server is lost, and with it a part of the model: the chief ends with code 138; restarted, it loads the checkpoint.
- The chief is lost: the others wait; restarted, it connects, makes the variables again and loads the checkpoint.

Only the chief reads and writes files; workers and servers need neither the data's disk nor its credentials.
"""

from __future__ import annotations

import sys

import tensorflow as tf

from labkit.course.training import loop, program
from labkit.course.training.learner import Learner
from labkit.course.training.metrics import Metrics
from labkit.course.training.options import Options
from labkit.course.training.stop import serve_until_stopped
from labkit.course.training.task import Task

RETRY = 138  # Kubeflow's convention for an error worth a restart: 128 + SIGUSR1


def run(options: Options, task: Task) -> int:
    loop.configure_threads(options)
    if task.type == "chief":
        return coordinate(options, task)
    serve(task)
    return 0


def serve(task: Task) -> None:
    """A worker or a parameter server: does what the chief asks for over gRPC, until it is told to end."""
    server = tf.distribute.Server(task.cluster, job_name=task.type, task_index=task.index, protocol="grpc")
    Metrics(None, task.name).record("serving", address=server.target)
    serve_until_stopped()


def coordinate(options: Options, task: Task) -> int:
    run = loop.begin(options, task)
    if loop.finished(run):
        return 0
    try:
        strategy = tf.distribute.ParameterServerStrategy(tf.distribute.cluster_resolver.TFConfigClusterResolver())
        with strategy.scope():
            learner = run.learner()
        _report_placement(run, learner)
        coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)

        @tf.function(autograph=False)
        def update(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return learner.update(images, labels, options.batch_size)

        def advance(first: int, last: int) -> tuple[float, float]:
            batches = (run.batches.at(step) for step in range(first, last))
            pending = [coordinator.schedule(update, args=tuple(map(tf.constant, batch))) for batch in batches]
            coordinator.join()
            return loop.mean([value.fetch() for value in pending])

        return loop.train(run, learner, advance)
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.NotFoundError) as error:
        run.metrics.record("lost a parameter server", error=str(error).splitlines()[0][:200])
        run.metrics.flush()
        return RETRY


def _report_placement(run: loop.Run, learner: Learner) -> None:
    """Which variable is on which server, and how large it is there."""
    for name, variable in learner.state().items():
        size = variable.shape.num_elements() * variable.dtype.size
        run.metrics.record("placed", variable=name, device=variable.device, bytes=size)


if __name__ == "__main__":
    sys.exit(program.main(sys.argv[1:], "parameter-server"))
