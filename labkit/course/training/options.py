"""The command line of every training program."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

ARCHITECTURES = ("linear", "mlp", "cnn")  # built in architectures.py, which needs TensorFlow


@dataclass(frozen=True)
class Options:
    """What to train and how. `steps` counts updates of the model; one update sees `batch_size` examples."""

    data: str
    out: str
    model: str = "mlp"
    epochs: float = 1.0
    steps: int = 0
    batch_size: int = 64
    lr: float = 0.002
    seed: int = 0
    checkpoint_every: int = 100
    log_every: int = 50
    threads: int = 1
    fail_at: int = 0


def parse(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m labkit.course.training", description=__doc__)
    add = parser.add_argument
    add("--data", required=True, metavar="URL", help="folder of shards with a manifest, as the ingestion writes it")
    add("--out", required=True, metavar="URL", help="folder for checkpoints, metrics and the model; a rerun resumes")
    add("--model", choices=ARCHITECTURES, default=Options.model, help="architecture (default: %(default)s)")
    add("--epochs", type=float, default=Options.epochs, help="passes over the data (default: %(default)s)")
    add("--steps", type=int, default=Options.steps, help="updates of the model, instead of epochs")
    add("--batch-size", type=int, default=Options.batch_size, help="examples an update (default: %(default)s)")
    add("--lr", type=float, default=Options.lr, help="learning rate (default: %(default)s)")
    add("--seed", type=int, default=Options.seed, help="of weights and of the examples' order (default: %(default)s)")
    add(
        "--checkpoint-every", type=int, default=Options.checkpoint_every, metavar="STEPS", help="(default: %(default)s)"
    )
    add("--log-every", type=int, default=Options.log_every, metavar="STEPS", help="(default: %(default)s)")
    add("--threads", type=int, default=Options.threads, help="of TensorFlow in one operation (default: %(default)s)")
    add("--fail-at", type=int, default=0, metavar="STEP", help="a drill: end with exit code 1 before this step")
    options = parser.parse_args(arguments)
    for name in ("batch_size", "checkpoint_every", "log_every", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if options.steps < 0 or options.epochs <= 0:
        parser.error("--steps must not be negative, --epochs must be above 0")
    return Options(**vars(options))
