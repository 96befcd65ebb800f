"""A cluster of three nodes whose machines may fail, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import watch

from clusters import Kube, running_cluster, space
from kubeproc import engine
from kubeproc.folder import ClusterFolder
from labkit.engines import nodes

HOST = "kubernetes.io/hostname"
NAMES = ["labkit", "labkit-2", "labkit-3"]
UNREACHABLE = "node.kubernetes.io/unreachable"
Object = dict[str, Any]


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterFolder]:
    root = tmp_path_factory.mktemp("three")
    with running_cluster(root, nodes=3, node_cpus=2, node_memory="4Gi") as found:
        yield found


@pytest.fixture
def kube(folder: ClusterFolder, request: pytest.FixtureRequest) -> Iterator[Kube]:
    """A namespace of its own for each test, after which all machines have power and take pods."""
    made = space(folder, request.node.name)
    yield made
    for node in NAMES:
        nodes.start(engine, folder, node)
        made.core.patch_node(node, {"spec": {"unschedulable": None}})
    made.core.delete_namespace(made.namespace)


def node_until(kube: Kube, name: str, holds: Callable[[Object], Any], seconds: int = 20) -> Object:
    options = {"field_selector": f"metadata.name={name}", "timeout_seconds": seconds}
    for event in watch.Watch().stream(kube.core.list_node, **options):
        if holds(event["raw_object"]):
            return event["raw_object"]
    raise AssertionError(f"the node {name} within {seconds} s")
