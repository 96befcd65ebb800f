"""`labkit up` is killed at each of its stages in turn; the next one goes on, and the last finishes the job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labkit import cluster, paths
from realkube.kind import node_containers
from realkube.programs import Kube

from .conftest import NAME, STAGES

pytestmark = [pytest.mark.kind, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("stage", STAGES[:-1])
def test_a_cluster_that_is_not_finished_is_not_said_to_run(interrupted: dict, stage: str) -> None:
    assert interrupted[stage] in ("degraded", "deleted"), (
        "deleted: an unfinished node is removed before it is made anew"
    )


def test_the_next_up_finishes_what_was_interrupted_at_every_stage(interrupted: dict, made: dict) -> None:
    assert list(interrupted) == list(STAGES)
    assert made["state"] == "running"
    kube = Kube(Path(made["kubeconfig"]))
    listed = [json.loads(kube("get", "pods", "-n", space, "-o", "json"))["items"] for space in node_containers.SYSTEM]
    assert all(listed), "each part of the system is there"
    assert {pod["status"]["phase"] for pods in listed for pod in pods} == {"Running"}
    assert json.loads(paths.cluster(NAME).info.read_text())["complete"]
    assert cluster.up(NAME)["state"] == "running"
