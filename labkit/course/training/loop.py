"""The training loop that all strategies share: resume, advance, measure, save, and in the end evaluate and export.

A strategy brings a `Learner` and `advance(first, last)`, which makes the updates of these steps and returns their mean
loss and accuracy. Steps count from 0; a checkpoint's number is the next step to do.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from labkit.course import data
from labkit.course.data import storage
from labkit.course.training import export, outputs
from labkit.course.training.batches import Batches
from labkit.course.training.checkpoints import Checkpoints
from labkit.course.training.learner import Learner
from labkit.course.training.metrics import Metrics
from labkit.course.training.options import Options
from labkit.course.training.stop import TERMINATED, Stop
from labkit.course.training.task import Task
from labkit.errors import LabError

Advance = Callable[[int, int], tuple[float, float]]


@dataclass(frozen=True)
class Run:
    """What a process knows before it builds a model."""

    options: Options
    task: Task
    manifest: dict
    batches: Batches
    steps: int
    metrics: Metrics
    stop: Stop

    def learner(self) -> Learner:
        shape, classes = tuple(self.manifest["shape"]), len(self.manifest["classes"])
        return Learner(self.options.model, shape, classes, self.options.seed, self.options.lr)

    def path(self, name: str) -> str:
        return storage.join(self.options.out, name)


def configure_threads(options: Options) -> None:
    """Several processes share few cores: more threads than that only wait for each other.

    Where TensorFlow runs already, as in a notebook, its threads stay as they are.
    """
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        tf.config.threading.set_inter_op_parallelism_threads(2)


def begin(options: Options, task: Task) -> Run:
    """Read the data and open the metrics; only the chief writes to the output."""
    stop = Stop()
    manifest = data.read_manifest(options.data)
    batches = Batches(data.read(options.data, "train"), options.batch_size, options.seed)
    metrics = Metrics(storage.join(options.out, outputs.METRICS) if task.is_chief else None, task.name)
    return Run(options, task, manifest, batches, options.steps or batches.steps(options.epochs), metrics, stop)


def finished(run: Run) -> bool:
    """Whether an earlier run already did all of this; then there is nothing to do."""
    if not storage.exists(run.path(outputs.RESULT)):
        return False
    result = storage.read_json(run.path(outputs.RESULT))
    if result["run"] != identity(run) or result["steps"] != run.steps:
        return False
    run.metrics.record("already finished", step=run.steps, accuracy=result["accuracy"])
    return True


def identity(run: Run) -> dict:
    """What a checkpoint belongs to: with any of these different it is another training."""
    options = run.options
    return {
        "model": options.model,
        "data": run.manifest["version"],
        "batch_size": options.batch_size,
        "lr": options.lr,
        "seed": options.seed,
    }


def train(run: Run, learner: Learner, advance: Advance) -> int:
    """Take the training from where it is to its end; returns the program's exit code."""
    options, metrics = run.options, run.metrics
    _claim(run)
    checkpoints = Checkpoints(run.path(outputs.CHECKPOINTS), learner.state())
    step = checkpoints.restore()
    metrics.record("resumed" if step else "started", step=step, steps=run.steps, **_describe(run, learner))
    began = time.monotonic()
    first = saved = step
    while step < run.steps and not run.stop.requested:
        if options.fail_at and step >= options.fail_at:
            raise LabError(f"step {step} fails, as --fail-at asked for", "leave the option out")
        last = _next_stop(step, run)
        moment = time.monotonic()
        loss, accuracy = advance(step, last)
        seconds = time.monotonic() - moment
        rate = round((last - step) * options.batch_size / seconds, 1)
        step = last
        metrics.record(
            "progress", step=step, loss=loss, accuracy=accuracy, seconds=round(seconds, 4), examples_per_second=rate
        )
        if run.task.is_chief and step % options.checkpoint_every == 0:
            checkpoints.save(step)
            metrics.flush()
            saved = step
    if run.task.is_chief and step != saved:
        checkpoints.save(step)
    seconds = round(time.monotonic() - began, 3)
    if step < run.steps:
        metrics.record("stopped", step=step, seconds=seconds)
        metrics.flush()
        return TERMINATED
    if run.task.is_chief:
        result = finish(run, learner, identity(run))
        metrics.record("finished", step=step, resumed_at=first, seconds=seconds, **result)
        metrics.flush()
    return 0


def mean(results: list[tuple[tf.Tensor, tf.Tensor]]) -> tuple[float, float]:
    """Mean loss and accuracy of several updates."""
    losses, accuracies = zip(*results, strict=True)
    return float(tf.reduce_mean(tf.stack(losses))), float(tf.reduce_mean(tf.stack(accuracies)))


def _next_stop(step: int, run: Run) -> int:
    """The step to advance to: the next to log, to save, to fail at or the last, whichever comes first."""
    options = run.options
    ahead = [step + every - step % every for every in (options.log_every, options.checkpoint_every)]
    if step < options.fail_at:
        ahead.append(options.fail_at)
    return min(*ahead, run.steps)


def _claim(run: Run) -> None:
    """Refuse a folder that holds another training; note in an empty one whose it is."""
    name = run.path(outputs.RUN)
    if storage.exists(name):
        found = storage.read_json(name)
        if found != identity(run):
            changed = [key for key, value in identity(run).items() if found.get(key) != value]
            raise LabError(
                f"{run.options.out} holds a training with other {', '.join(changed)}",
                "use another --out, or delete that folder",
            )
    elif run.task.is_chief:
        storage.write_json(name, identity(run))


def _describe(run: Run, learner: Learner) -> dict:
    return {
        **identity(run),
        "strategy": run.task.strategy,
        "dataset": run.manifest["dataset"],
        "source": run.manifest["source"],
        "examples": len(run.batches.dataset),
        "parameters": sum(int(weight.shape.num_elements()) for weight in learner.weights),
    }


def finish(run: Run, learner: Learner, identity: dict) -> dict:
    """Evaluate, export, and write `result.json`, last of all: where it is, everything is."""
    model = learner.local_copy()
    loss, accuracy = export.evaluate(model, data.read(run.options.data, "validation"))
    export.save(model, tuple(run.manifest["shape"]), run.path(outputs.SAVED_MODEL))
    result = {"loss": loss, "accuracy": accuracy}
    storage.write_json(run.path(outputs.RESULT), {"run": identity, "steps": run.steps, **result})
    return result
