"""A kind cluster for the tests of this folder, made from a bundle or, on a connected machine, from registries."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit import cluster, paths
from realkube.kind import node_containers, requirements
from realkube.supply.bundle import VARIABLE

NAME = "test"
# The lines that `up` says when something is done, in their order: what follows the last of them is a moment.
STAGES = ("checks", "image ", "node made", "nodes ready", "image busybox", "operators installed", "everything ready")
BUNDLE = Path("~/.cache/labkit/bundle").expanduser()


def skip_without_docker() -> None:
    if reason := requirements.lacking():
        warnings.warn(f"NO KIND CLUSTER: {reason.message}; the real cluster is not tested", stacklevel=1)
        pytest.skip(f"no kind cluster can be had: {reason.message}")


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Somebody else's kubeconfig, as the user's own: nothing that labkit does may change a byte of it."""
    home = tmp_path_factory.mktemp("kind")
    theirs = home / "theirs.kubeconfig"
    theirs.write_text("apiVersion: v1\nkind: Config\ncurrent-context: production\n")
    changes = {"LABKIT_HOME": str(home / "labkit"), "KUBECONFIG": str(theirs)}
    if (BUNDLE / "SHA256SUMS").is_file() and not os.environ.get(VARIABLE):
        changes[VARIABLE] = str(BUNDLE)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            patch.setenv(name, value)
        skip_without_docker()
        yield theirs
        cluster.down(NAME, purge=True)


def first_node(process: subprocess.Popen) -> dict[str, str]:  # type: ignore[type-arg]
    """Waits until the process has made a node; what Docker has."""
    name = node_containers.kind_name(paths.cluster(NAME))
    deadline = time.monotonic() + 240
    while not (there := node_containers.containers(name)):
        assert process.poll() is None, "it ended before there was a node"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return there


def ids() -> set[str]:
    """Docker's ids of the cluster's containers."""
    label = f"label={node_containers.LABEL}={node_containers.kind_name(paths.cluster(NAME))}"
    return set(subprocess.check_output(["docker", "ps", "-aq", "--filter", label], text=True).split())


def up(**environment: str) -> subprocess.Popen:  # type: ignore[type-arg]
    command = [sys.executable, "-m", "labkit.cli", "up", "--engine", "kind", "--name", NAME]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | environment)


@pytest.fixture(scope="session")
def abandoned(foreign: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    """How `labkit up` ended, and what it said, when Docker went away as soon as there was a node: from then on its client,
    the real one, finds nobody at the daemon's address."""
    folder = tmp_path_factory.mktemp("bin")
    gone = folder / "gone"
    docker = folder / "docker"
    address = f'[ ! -e "{gone}" ] || export DOCKER_HOST="unix://{folder}/nobody.sock"'
    docker.write_text(f'#!/bin/sh\n{address}\nexec "{shutil.which("docker")}" "$@"\n')
    docker.chmod(0o755)
    process = up(PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")
    first_node(process)
    gone.touch()
    _, said = process.communicate(timeout=300)
    return process.returncode, said


@pytest.fixture(scope="session")
def killed(abandoned: tuple[int, str]) -> dict[str, str]:
    """What Docker had when `labkit up` was killed as soon as there was a node."""
    left = ids()
    process = up()
    while left & ids():
        assert process.poll() is None, "it ended before it had removed what was left"
        time.sleep(0.1)
    there = first_node(process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return there


@pytest.fixture(scope="session")
def interrupted(killed: dict[str, str]) -> dict[str, str]:
    """What state the cluster was in when `labkit up` was killed at each of STAGES, one after the other."""
    found = {}
    for stage in STAGES:
        process, said = up(), ""
        assert process.stderr
        for line in process.stderr:
            said += line
            if line.startswith(stage):
                process.kill()
                break
        process.communicate()
        assert process.returncode == -signal.SIGKILL, f"it did not come to {stage!r}: {said}"
        found[stage] = cluster.status(NAME)["state"]
    return found


@pytest.fixture(scope="session")
def made(interrupted: dict[str, str]) -> dict:
    return cluster.up(NAME, "kind")
