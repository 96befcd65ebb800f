"""A cluster that this process's clients talk to, as a notebook's do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit import namespaces


@pytest.fixture(scope="module")
def connected(cluster: Path) -> Iterator[Path]:
    before = {name: os.environ.get(name) for name in ("KUBECONFIG", "LABKIT_CLUSTER")}
    os.environ |= {"KUBECONFIG": str(cluster), "LABKIT_CLUSTER": "labkit"}
    namespaces.prepare("default")
    yield cluster
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})
