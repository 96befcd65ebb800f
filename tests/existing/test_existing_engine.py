"""`labkit up --engine existing` from its beginning to `down`, through an account that may work in one namespace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from accounts import SPACE
from labkit import cluster
from labkit.errors import LabError
from realkube.existing import rights
from realkube.programs import Kube

KINDS = "roles,rolebindings,secrets,configmaps,persistentvolumeclaims,deployments,services"


@pytest.fixture(scope="module")
def student(theirs: Path, admin: Kube) -> Path:
    admin.apply(rights.ROLE.read_text(), "-n", SPACE)
    admin("create", "rolebinding", "student", "-n", SPACE, "--role=course-user", f"--serviceaccount={SPACE}:student")
    return theirs


@pytest.fixture
def big(student: Path) -> Iterator[dict]:
    yield cluster.up("big", "existing", context="student")
    cluster.down("big", purge=True)


def names(kube: Kube) -> set[str]:
    return set(kube("get", KINDS, "-n", SPACE, "-o", "name").split())


def test_up_makes_the_course_s_things_and_down_removes_these_and_nothing_else(student: Path, admin: Kube) -> None:
    before, config = names(admin), student.read_bytes()
    found = cluster.up("big", "existing", context="student")
    try:
        assert (found["state"], found["namespace"], found["kubernetes"]) == ("running", SPACE, "1.34")
        made = names(admin) - before
        assert {name.partition("/")[2] for name in made} == {
            "workflow-steps",
            "artifact-store",
            "artifact-repositories",
        }
        assert cluster.up("big")["state"] == "running", "a second up finds nothing to do"
        assert names(admin) - before == made
        assert json.loads(admin("get", "deployment", "artifact-store", "-n", SPACE, "-o", "json"))["status"][
            "readyReplicas"
        ]
    finally:
        assert cluster.down("big")
    assert names(admin) == before
    assert student.read_bytes() == config
    assert cluster.status("big")["state"] == "stopped"
    assert not cluster.down("big")
    assert cluster.down("big", purge=True)
    assert cluster.status("big")["state"] == "absent"


def test_a_context_must_be_named_and_be_there(theirs: Path) -> None:
    with pytest.raises(LabError, match="the cluster's context is missing") as caught:
        cluster.up("big", "existing")
    assert "--context NAME" in caught.value.hint
    with pytest.raises(LabError, match="there is no context 'gke'"):
        cluster.up("big", "existing", context="gke")
    assert cluster.status("big")["state"] == "absent"


def test_what_was_made_in_one_namespace_is_not_forgotten_for_another(big: dict) -> None:
    with pytest.raises(LabError, match=f"uses {SPACE} of student, where it has made things") as caught:
        cluster.up("big", namespace="other")
    assert "labkit down --name big" in caught.value.hint
    assert cluster.status("big")["namespace"] == SPACE


def test_a_thing_of_somebody_else_s_is_left_alone(student: Path, admin: Kube) -> None:
    admin("create", "configmap", "artifact-repositories", "-n", SPACE, "--from-literal=default=theirs")
    try:
        with pytest.raises(LabError, match=f"{SPACE} has a configmap/artifact-repositories that is not labkit's"):
            cluster.up("big", "existing", context="student")
        cluster.down("big", purge=True)
        kept = admin("get", "configmap", "artifact-repositories", "-n", SPACE, "-o", "jsonpath={.data.default}")
        assert kept == "theirs"
    finally:
        admin("delete", "configmap", "artifact-repositories", "-n", SPACE)


def test_a_store_whose_image_can_not_be_pulled_is_told_with_why(student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from realkube.existing import existing_engine

    monkeypatch.setattr(existing_engine, "PATIENCE", 3)
    try:
        with pytest.raises(
            LabError, match=r"the artifact store in course is not ready after 3 s: \w*Image\w*: "
        ) as caught:
            cluster.up("big", "existing", context="student", image="registry.example/lab:1")
        assert "pull registry.example/lab:1 (--image NAME)" in caught.value.hint
    finally:
        cluster.down("big", purge=True)


def test_the_cluster_s_own_words_are_its_namespace_s_events(big: dict) -> None:
    said = cluster.daemon_logs("big")
    assert "artifact-store" in said
    assert "Started" in said or "Scheduled" in said


def test_what_is_asked_for_is_in_the_role_that_an_administrator_applies() -> None:
    rules = yaml.safe_load(rights.ROLE.read_text())["rules"]
    given = {
        f"{resource}.{group}".rstrip(".")
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert {right.resource for right in [*rights.used(), *rights.granted()]} <= given
