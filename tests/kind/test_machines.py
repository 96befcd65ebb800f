"""Nodes as machines on a real cluster: three of a size, one of which fails while the end-to-end system is trained, and a drill
that the embedded cluster must pass in the same words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes import config, watch
from kubernetes.client import CoreV1Api

from books import WORKFLOWS, end_to_end
from labkit import client, cluster, namespaces, paths
from labkit.engines import nodes
from labkit.errors import LabError
from realkube.kind import kind_engine
from realkube.programs import Kube

from . import drill

NAME, SPACE = "machines", "training"

pytestmark = [pytest.mark.kind, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def three(foreign: Path) -> Iterator[dict]:
    yield cluster.up(NAME, "kind", nodes=3, node_cpus=1, node_memory="5Gi")
    cluster.down(NAME, purge=True)


@pytest.fixture
def kube(three: dict, monkeypatch: pytest.MonkeyPatch) -> Kube:
    monkeypatch.setenv("KUBECONFIG", three["kubeconfig"])
    return Kube(Path(three["kubeconfig"]))


def test_each_node_has_the_size_that_was_asked_for(three: dict, kube: Kube) -> None:
    found = json.loads(kube("get", "nodes", "-o", "json"))["items"]
    assert [node["status"]["allocatable"]["cpu"] for node in found] == ["1"] * 3
    assert {node["status"]["allocatable"]["memory"] for node in found} == {"5Gi"}
    assert len(three["nodes"]) == 3
    with pytest.raises(LabError, match="with nodes 3"):
        cluster.up(NAME, nodes=2)


def test_the_machine_that_the_api_runs_on_is_not_taken_away(three: dict) -> None:
    first = next(node for node in three["nodes"] if node.endswith("control-plane"))
    with pytest.raises(LabError, match="where the API runs"):
        nodes.stop(kind_engine, paths.cluster(NAME), first)


def test_the_artifacts_are_kept_on_the_machine_that_is_not_taken_away(three: dict, kube: Kube) -> None:
    where = kube(
        "get", "pods", "-n", "labkit-system", "-l", "app=artifact-store", "-o", "jsonpath={.items[*].spec.nodeName}"
    )
    assert where.endswith("control-plane")


def test_the_system_ends_well_though_a_machine_fails_while_it_is_trained(three: dict, kube: Kube) -> None:
    namespaces.prepare(SPACE)
    workflow = end_to_end(size="3000", steps="400", models='["linear", "mlp"]')
    kube("apply", "-n", SPACE, "-f", str(WORKFLOWS / "claim.yaml"))
    name = (
        kube("create", "-n", SPACE, "-o", "name", "-f", "-", input=yaml.safe_dump(workflow)).strip().partition("/")[2]
    )
    core = CoreV1Api(config.new_client_from_config(three["kubeconfig"]))
    claim, victim = training(core)

    change = nodes.stop(kind_engine, paths.cluster(NAME), victim)
    assert change.pods > 0
    assert cluster.status(NAME)["state"] == "degraded"
    assert nodes.stop(kind_engine, paths.cluster(NAME), victim).on is False, "again: the same"

    ended = client.wait("workflow", name, lambda w: w["status"].get("finishedAt"), timeout=900, namespace=SPACE)
    assert ended["status"]["phase"] == "Succeeded", ended["status"].get("message")
    attempts = [n for n in ended["status"]["nodes"].values() if n.get("templateName") == "train" and n["type"] == "Pod"]
    assert any(n["phase"] in ("Error", "Failed") for n in attempts), "the failure was felt"
    assert {n["hostNodeName"] for n in attempts if n["phase"] == "Succeeded"} <= set(three["nodes"]) - {victim} | {
        claim
    }

    nodes.start(kind_engine, paths.cluster(NAME), victim)
    assert cluster.status(NAME)["state"] == "running"
    node = json.loads(kube("get", "node", victim, "-o", "json"))
    assert not node["spec"].get("taints")
    cluster.up(NAME)  # what started anew on it is ready, too


def test_both_engines_tell_the_same_of_nodes_that_are_closed_emptied_and_lost(
    three: dict, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = drill.answers(paths.cluster(NAME), kind_engine)
    embedded = cluster.up("beside", "embedded", nodes=3, node_cpus=1, node_memory="5Gi")
    monkeypatch.setenv("KUBECONFIG", embedded["kubeconfig"])
    try:
        here = drill.answers(paths.cluster("beside"), cluster.engine_of("beside"))
    finally:
        cluster.down("beside", purge=True)
    assert here == there


def training(core: CoreV1Api) -> tuple[str, str]:
    """Waits until both trainings run with all their pods; the node of the claim, and another one that trains."""
    where: dict[str, tuple[str, str]] = {}
    selector = "training.kubeflow.org/job-name"
    for event in watch.Watch().stream(core.list_namespaced_pod, SPACE, label_selector=selector, timeout_seconds=300):
        pod = event["object"]
        role = pod.metadata.labels["training.kubeflow.org/replica-type"]
        if pod.status.phase == "Running":
            where[pod.metadata.name] = role, pod.spec.node_name
        if len(where) == 8:
            break
    assert len(where) == 8, where
    home = next(node for role, node in where.values() if role == "chief")
    others = {node for _, node in where.values()} - {home}
    return home, next(node for node in sorted(others) if not node.endswith("control-plane"))
