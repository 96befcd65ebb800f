"""A kind cluster for the tests of this folder, made from a bundle or, on a connected machine, from registries."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit import cluster, paths
from labkit.kind import checks, nodes
from labkit.kind.bundle import VARIABLE

NAME = "test"
BUNDLE = Path("~/.cache/labkit/bundle").expanduser()


def skip_without_docker() -> None:
    if reason := checks.lacking():
        warnings.warn(f"NO KIND CLUSTER: {reason}; the real cluster is not tested", stacklevel=1)
        pytest.skip(f"no kind cluster can be had: {reason}")


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


@pytest.fixture(scope="session")
def killed(foreign: Path) -> dict[str, str]:
    """What Docker had when `labkit up` was killed as soon as there was a node."""
    command = [sys.executable, "-m", "labkit.cli", "up", "--engine", "kind", "--name", NAME]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    name = nodes.kind_name(paths.cluster(NAME))
    deadline = time.monotonic() + 240
    while not (there := nodes.containers(name)):
        assert process.poll() is None, "it ended before there was a node"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return there


@pytest.fixture(scope="session")
def made(killed: dict[str, str]) -> dict:
    return cluster.up(NAME, "kind")
