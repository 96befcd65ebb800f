"""Real training processes on loopback, forked from a parent that has imported TensorFlow as pods are, and a small data set."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubeproc.runtime.runtime import PRELOAD
from kubeproc.warm.spawn import Spawn
from kubeproc.warm.sync import SyncParent
from labkit.course import data
from labkit.paths import portable


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """A training takes signals for its own process; here that is the tests'."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Member:
    """One process of a training; its output is a file, so that nothing blocks."""

    def __init__(self, parent: SyncParent, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self.parent, self.arguments, self.environment, self.log = parent, arguments, environment, log
        self.start()

    def start(self) -> None:
        words = ["python", "-m", "labkit.course.training", *self.arguments]
        with self.log.open("ab") as file, open(os.devnull, "rb") as null:
            program = Spawn(words, {**os.environ, **self.environment}, python=True)
            self.process = self.parent.spawn(program, [null.fileno(), file.fileno(), file.fileno()])

    def events(self) -> list[dict]:
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def until(self, event: str, deadline: float = 200, **at_least: int) -> dict:
        """The first record of that event whose fields have reached these numbers."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            for found in self.events():
                if found["event"] == event and all(found[key] >= value for key, value in at_least.items()):
                    return found
            if (ended := self.process.poll()) is not None and event not in self.log.read_text():
                raise AssertionError(f"ended with {ended.code} before {event!r}: {self.log.read_text()}")
            time.sleep(0.02)  # the file is looked at again; there is no event to wait for
        raise AssertionError(f"no {event!r} within {deadline} s: {self.log.read_text()[-3000:]}")

    def wait(self, deadline: float = 200) -> int:
        end = self.process.wait(deadline)
        if end is None:
            raise AssertionError(f"still running after {deadline} s: {self.log.read_text()[-3000:]}")
        return end.code

    def kill(self, number: int = signal.SIGKILL) -> int:
        if self.process.poll() is None:
            self.process.kill(number)
        return self.wait()


@pytest.fixture(scope="session")
def member() -> Iterator[Callable[..., Member]]:
    """`member(arguments, environment, log)` starts one process."""
    with SyncParent(PRELOAD, portable=portable()) as parent:
        yield functools.partial(Member, parent)


@pytest.fixture
def launch(member, tmp_path):
    """`launch(arguments, {"chief": 1, "worker": 2})` starts the members: {("worker", 1): Member}."""
    started: list[Member] = []

    def start(arguments: list[str], replicas: dict[str, int] | None = None) -> dict[tuple[str, int], Member]:
        replicas = replicas or {}
        ports = iter(free_ports(sum(replicas.values())))
        cluster = {kind: [f"127.0.0.1:{next(ports)}" for _ in range(count)] for kind, count in replicas.items()}
        members = {}
        for kind, index in [(each, index) for each in cluster for index in range(len(cluster[each]))] or [("one", 0)]:
            task = {"type": kind, "index": index}
            config = {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} if cluster else {}
            log = tmp_path / f"{len(started)}-{kind}-{index}.log"
            members[kind, index] = member(arguments, config, log)
            started.append(members[kind, index])
        return members

    yield start
    for each in started:
        each.kill()


@pytest.fixture(scope="session")
def shards(tmp_path_factory) -> str:
    """The URL of 1,600 training examples, with 200 each for validation and test."""
    folder = str(tmp_path_factory.mktemp("data"))
    dataset = data.subset(data.load("auto"), 1797, seed=0)
    train, validation, test = data.split(dataset, 200 / 1797, 200 / 1797)
    data.write(folder, {"train": train, "validation": validation, "test": test}, shards=2)
    return folder


@pytest.fixture(scope="session")
def weights():
    """`weights(folder)`: the weights of the model exported there, as arrays."""

    def read(folder: Path) -> list:
        import tensorflow as tf

        return [variable.numpy() for variable in tf.saved_model.load(f"{folder}/saved_model").variables_of_model]

    return read
