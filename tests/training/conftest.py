"""Real training processes on loopback, and a small data set for them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labkit import data


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

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self.arguments, self.environment, self.log = arguments, environment, log
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "labkit.training", *self.arguments],
                env={**os.environ, **self.environment},
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def events(self) -> list[dict]:
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def until(self, event: str, deadline: float = 60, **at_least: int) -> dict:
        """The first record of that event whose fields have reached these numbers."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            for found in self.events():
                if found["event"] == event and all(found[key] >= value for key, value in at_least.items()):
                    return found
            if self.process.poll() is not None and event not in self.log.read_text():
                raise AssertionError(f"ended with {self.process.returncode} before {event!r}: {self.log.read_text()}")
            time.sleep(0.02)  # the file is looked at again; there is no event to wait for
        raise AssertionError(f"no {event!r} within {deadline} s: {self.log.read_text()[-3000:]}")

    def wait(self, deadline: float = 60) -> int:
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {deadline} s: {self.log.read_text()[-3000:]}") from None

    def kill(self, number: int = signal.SIGKILL) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def launch(tmp_path):
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
            member = Member(arguments, config, tmp_path / f"{len(started)}-{kind}-{index}.log")
            started.append(member)
            members[kind, index] = member
        return members

    yield start
    for member in started:
        member.kill()


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
