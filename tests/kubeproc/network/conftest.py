"""A cluster whose pods have a network of their own, where the kernel grants one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters import Kube, running_cluster, space
from kubeproc.folder import ClusterFolder, portable
from kubeproc.network import client


def missing(log: Path) -> str:
    """Why there is no such network here; "" if there is."""
    return "as on a machine without namespaces" if portable() else client.missing(log)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterFolder]:
    where = tmp_path_factory.mktemp("network")
    if why := missing(where / "probe.log"):
        pytest.skip(f"pods can't have a network of their own here: {why}")
    with running_cluster(where, network="pods", outside=False) as folder:
        yield folder


@pytest.fixture
def kube(home: ClusterFolder, request: pytest.FixtureRequest) -> Iterator[Kube]:
    """A namespace of its own for each test."""
    made = space(home, request.node.name)
    yield made
    made.core.delete_namespace(made.namespace)
