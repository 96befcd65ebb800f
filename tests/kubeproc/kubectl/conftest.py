"""The wheel's kubectl, unmodified, against a running cluster: every verb that the course uses does what it should."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from kubectl_client import Kubectl

from kubeproc import engine
from kubeproc.folder import ClusterFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterFolder]:
    """The folder of the module's running cluster."""
    made = ClusterFolder(tmp_path_factory.mktemp("kubectl") / "cluster")
    engine.up(made)
    try:
        yield made
    finally:
        engine.down(made, purge=True)


@pytest.fixture(scope="module")
def cluster(folder: ClusterFolder) -> Kubectl:
    cache = str(folder.root.parent)
    return Kubectl(os.environ | {"KUBECONFIG": str(folder.kubeconfig), "KUBECACHEDIR": cache, "NO_PROXY": "*"})


@pytest.fixture
def kubectl(cluster: Kubectl, request: pytest.FixtureRequest) -> Kubectl:
    """kubectl in a namespace of the test's own."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[:40].strip("-")
    cluster("create", "namespace", name)
    return Kubectl(cluster.environment, name)
