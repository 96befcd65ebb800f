"""A kind cluster for the tests of this folder, made from a bundle or, on a connected machine, from registries."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

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
