"""Which operators and which Kubernetes a cluster has: what is missing, and what is other than the course was made with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from labkit.errors import LabError
from realkube.existing import operators
from realkube.programs import Kube

TRAINING, ARGO = operators.OPERATORS
WHOLE = {operator.api: set(operator.kinds) | {"others"} for operator in operators.OPERATORS}
OURS = {
    "training-operator": "ghcr.io/kubeflow/training-v1/training-operator:v1-93c5489",
    "argo-workflows": "quay.io/argoproj/workflow-controller:v3.7.9",
}


def test_a_cluster_with_both_operators_serves_all_that_is_asked_for(admin: Kube) -> None:
    operators.check(admin)
    assert operators.served(admin, "kubeflow.org/v1") == {"tfjobs", "tfjobs/status", "tfjobs/scale"}


def test_a_group_version_that_is_not_there_has_no_kinds(admin: Kube) -> None:
    assert operators.served(admin, "argoproj.io/v1") == set()
    assert operators.served(admin, "trainer.kubeflow.org/v1alpha1") == set()


def test_other_parts_of_kubeflow_in_the_same_group_are_not_the_training_operator() -> None:
    operators.demand(WHOLE)
    with pytest.raises(LabError) as caught:
        operators.demand(WHOLE | {TRAINING.api: {"notebooks", "notebooks/status", "profiles"}})
    assert caught.value.message == (
        "the cluster lacks what the course's manifests need: no tfjobs in kubeflow.org/v1, which the Training Operator brings"
    )
    assert caught.value.hint == (
        "an administrator installs it: kubectl apply --server-side -k "
        "'https://github.com/kubeflow/training-operator//manifests/overlays/standalone?ref=v1.9.4'"
    )


def test_one_kind_of_an_operator_and_both_operators_are_told() -> None:
    with pytest.raises(LabError) as caught:
        operators.demand({TRAINING.api: set(), ARGO.api: {"workflows", "workflowtaskresults"}})
    assert "no tfjobs in kubeflow.org/v1" in caught.value.message
    assert "no workflowtemplates in argoproj.io/v1alpha1, which Argo Workflows brings" in caught.value.message
    assert "kubectl create namespace argo && kubectl apply --server-side -n argo -k" in caught.value.hint
    assert "?ref=v3.7.9" in caught.value.hint


@pytest.mark.parametrize(
    ("minor", "told"),
    [
        ("1.32", "Kubernetes 1.32 is older than what the course was tried with, 1.33 to 1.34"),
        ("1.33", ""),
        ("1.34", ""),
        ("1.35", "Kubernetes 1.35 is newer than what the course was tried with, 1.33 to 1.34"),
        ("2.0", "Kubernetes 2.0 is newer than what the course was tried with, 1.33 to 1.34"),
    ],
)
def test_a_kubernetes_that_was_not_tried_is_told(minor: str, told: str) -> None:
    assert list(operators.kubernetes_notes(minor)) == ([told] if told else [])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        ({"argo-workflows": "registry.example/mirror/workflow-controller:v3.7.2@sha256:abc"}, []),
        ({"argo-workflows": "x:5000/c:v4.0.8"}, ["Argo Workflows v4.0.8 is newer than what the course was made with, v3.7.9"]),
        ({"argo-workflows": "c:v3.6.10"}, ["Argo Workflows v3.6.10 is older than what the course was made with, v3.7.9"]),
        (
            {"training-operator": "kubeflow/training-operator:v1-855e096"},
            [
                "the Training Operator runs the image kubeflow/training-operator:v1-855e096; the course was made with "
                f"{OURS['training-operator']} (v1.9.4)"
            ],
        ),
    ],
)  # fmt: skip
def test_an_operator_of_another_version_is_told(changed: dict[str, str], told: list[str]) -> None:
    assert list(operators.notes(OURS | changed)) == told


@pytest.fixture
def installed(admin: Kube) -> Iterator[None]:
    """Deployments as the operators' are, of another Argo; they run nothing."""
    for operator, image in (
        (TRAINING, OURS["training-operator"]),
        (ARGO, "quay.io/argoproj/workflow-controller:v4.0.8"),
    ):
        labels = {"app": operator.deployment}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
        spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": operator.deployment}, "spec": spec}
        admin("create", "namespace", operator.namespace)
        admin.apply(yaml.safe_dump(body), "-n", operator.namespace)
    yield
    admin("delete", "namespace", TRAINING.namespace, ARGO.namespace)


def test_their_images_are_read_where_one_may_look(installed: None, admin: Kube, theirs: Path) -> None:
    assert operators.images(admin) == OURS | {"argo-workflows": "quay.io/argoproj/workflow-controller:v4.0.8"}
    assert operators.images(Kube(theirs)) == {}, "who has no rights there"


def test_versions_that_nobody_could_see_are_told_as_such() -> None:
    assert list(operators.notes({})) == [
        "the version of the Training Operator is unknown, since you may not read it; the course was made with v1.9.4",
        "the version of Argo Workflows is unknown, since you may not read it; the course was made with v3.7.9",
    ]
