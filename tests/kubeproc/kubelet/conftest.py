"""The kubelet's tests run on whole clusters, with what only Linux has and without it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clusters import Kube, running_cluster, space
from kubeproc.folder import ClusterFolder, portable

WAYS = ["portable"] if portable() else ["linux", "portable"]


@pytest.fixture(scope="session", params=WAYS)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterFolder]:
    with running_cluster(tmp_path_factory.mktemp(request.param), request.param == "portable") as folder:
        yield folder


@pytest.fixture
def kube(home: ClusterFolder, request: pytest.FixtureRequest) -> Iterator[Kube]:
    """A namespace of its own for each test."""
    made = space(home, request.node.name)
    yield made
    made.core.delete_namespace(made.namespace)
