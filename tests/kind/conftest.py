"""A kind cluster for the tests of this folder, made from a bundle or, on a connected machine, from registries."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit import cluster
from labkit.kind.bundle import VARIABLE

BUNDLE = Path("~/.cache/labkit/bundle").expanduser()


def why_not() -> str:
    """Why no kind cluster can be had here; '' where one can."""
    if not shutil.which("docker"):
        return "there is no Docker"
    if subprocess.run(["docker", "info"], capture_output=True, timeout=30).returncode:
        return "Docker does not answer"
    if not os.environ.get(VARIABLE) and not (BUNDLE / "SHA256SUMS").is_file() and not shutil.which("kind"):
        return f"there is neither a bundle (${VARIABLE}, {BUNDLE}) nor a kind program"
    return ""


def skip_without_docker() -> None:
    if reason := why_not():
        warnings.warn(f"NO KIND CLUSTER: {reason}; the real cluster is not tested", stacklevel=1)
        pytest.skip(f"no kind cluster can be had: {reason}")


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The finished bundle that this machine has."""
    skip_without_docker()
    folder = Path(os.environ.get(VARIABLE) or BUNDLE)
    if not (folder / "SHA256SUMS").is_file():
        pytest.skip(f"there is no bundle in {folder}: labkit bundle create {folder}")
    return folder


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a running kind cluster of this run's own LABKIT_HOME, deleted at the end."""
    skip_without_docker()
    before = {name: os.environ.get(name) for name in ("LABKIT_HOME", VARIABLE)}
    os.environ["LABKIT_HOME"] = str(tmp_path_factory.mktemp("kind-home"))
    if (BUNDLE / "SHA256SUMS").is_file():
        os.environ.setdefault(VARIABLE, str(BUNDLE))
    try:
        cluster.up("test", "kind")
        yield "test"
    finally:
        cluster.down("test", purge=True)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
