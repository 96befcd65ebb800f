"""A cluster that somebody else runs, through an account that may work in one namespace and nothing else."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from accounts import hand_out
from books import WORKFLOWS, end_to_end
from labkit import cluster
from labkit.errors import LabError
from realkube.existing import operators, rights
from realkube.programs import Kube

pytestmark = [pytest.mark.kind, pytest.mark.timeout(1200)]
SPACE = "course"


@pytest.fixture(scope="module")
def granted(request: pytest.FixtureRequest) -> Path:
    """An administrator's kubeconfig: $LABKIT_TEST_KUBECONFIG of a cluster that runs, else that of the tests' own."""
    given = os.environ.get("LABKIT_TEST_KUBECONFIG")
    return Path(given or request.getfixturevalue("made")["kubeconfig"])


@pytest.fixture(scope="module")
def admin(granted: Path) -> Kube:
    return Kube(granted)


@pytest.fixture(scope="module")
def theirs(admin: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig that an administrator handed out: contexts `student` (may work in `course`) and `nobody` (may not)."""
    admin("create", "namespace", SPACE)
    path = hand_out(admin, tmp_path_factory.mktemp("theirs") / "config", SPACE, "nobody", "student")
    admin.apply(rights.ROLE.read_text(), "-n", SPACE)
    admin("create", "rolebinding", "student", "-n", SPACE, "--role=course-user", f"--serviceaccount={SPACE}:student")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(path))
        patch.setenv("LABKIT_HOME", str(path.parent / "home"))
        yield path
    admin("delete", "namespace", SPACE, "--wait=false")


def names(kube: Kube) -> set[str]:
    kinds = "roles,rolebindings,secrets,configmaps,persistentvolumeclaims,deployments,services"
    return set(kube("get", kinds, "-n", SPACE, "-o", "name").split())


def test_who_may_nothing_is_told_what_and_how_an_administrator_gives_it(theirs: Path) -> None:
    with pytest.raises(
        LabError, match=r"you may not: get, list, watch, create, update, patch, delete pods; "
    ) as caught:
        cluster.up("big", "existing", context="nobody")
    assert caught.value.message.endswith(
        "can grant only if you have them: create, patch workflowtaskresults.argoproj.io"
    )
    assert f"kubectl create rolebinding course-user -n {SPACE} --role=course-user" in caught.value.hint
    assert cluster.status("big")["state"] == "absent"


def test_a_context_that_is_not_there_is_told(theirs: Path) -> None:
    with pytest.raises(LabError, match="there is no context 'gke'"):
        cluster.up("big", "existing", context="gke")


def test_the_end_to_end_workflow_runs_by_changing_parameters_only(theirs: Path, admin: Kube) -> None:
    before, others = names(admin), admin("get", "secrets,configmaps,deployments", "-n", "labkit-system", "-o", "name")
    config = theirs.read_bytes()
    found = cluster.up("big", "existing", context="student")
    assert found["state"] == "running"
    assert found["namespace"] == SPACE
    assert cluster.up("big")["state"] == "running", "a second up finds nothing to do"
    student = Kube(Path(found["kubeconfig"]))
    student("apply", "-f", str(WORKFLOWS / "claim.yaml"))
    workflow = end_to_end(steps="60", models='["linear", "mlp"]', workers="1", replicas="1", size="2000")
    name = student("create", "-f", "-", "-o", "name", input=yaml.safe_dump(workflow)).strip()
    student("wait", name, "--for=condition=Completed", "--timeout=900s", timeout=920)
    ended = json.loads(student("get", name, "-o", "json"))["status"]
    assert ended["phase"] == "Succeeded", ended.get("message")
    assert any(a["name"] == "report" for a in ended["outputs"]["artifacts"])
    student("delete", name)

    assert cluster.down("big")
    assert theirs.read_bytes() == config
    left = names(admin) - before
    assert {n for n in left if "artifact" in n or "workflow-steps" in n} == set(), "what up made, down removed"
    assert set(others.split()) <= set(
        admin("get", "secrets,configmaps,deployments", "-n", "labkit-system", "-o", "name").split()
    )


def test_the_operators_images_are_read_by_who_may(theirs: Path, admin: Kube) -> None:
    assert list(operators.notes(operators.images(admin))) == []
    assert operators.images(Kube(theirs)) == {}


def test_a_kind_that_is_missing_is_told_with_how_its_operator_is_installed(theirs: Path, admin: Kube) -> None:
    name = "workflowtemplates.argoproj.io"
    definition = yaml.safe_load(admin("get", "crd", name, "-o", "yaml"))
    definition = {key: definition[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": name}}
    admin("delete", "crd", name)
    try:
        served(admin, lambda kinds: "workflowtemplates" not in kinds)
        with pytest.raises(
            LabError, match=r"no workflowtemplates in argoproj\.io/v1alpha1, which Argo Workflows brings"
        ) as caught:
            cluster.up("big", "existing", context="student")
        assert "kubectl apply --server-side -n argo -k" in caught.value.hint
    finally:
        admin.apply(yaml.safe_dump(definition))
        admin("wait", f"crd/{name}", "--for=condition=Established", "--timeout=60s")
        served(admin, lambda kinds: "workflowtemplates" in kinds)


def served(admin: Kube, holds: Callable[[set[str]], bool], seconds: float = 60) -> None:
    """Return when discovery says so: it learns of a definition a moment later."""
    deadline = time.monotonic() + seconds
    while not holds(kinds := operators.served(admin, "argoproj.io/v1alpha1")):
        assert time.monotonic() < deadline, kinds
        time.sleep(0.2)
