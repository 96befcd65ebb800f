"""A cluster that somebody else runs, through an account that may work in one namespace and nothing else."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from course import WORKFLOWS, end_to_end

from labkit import cluster
from labkit.errors import LabError
from labkit.kind import access, versions
from labkit.kind.programs import Kube

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
def theirs(granted: Path, admin: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig that an administrator handed out: contexts `student` (may work in `course`) and `nobody` (may not)."""
    config = yaml.safe_load(granted.read_text())
    things = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}]
    for name in ("student", "nobody"):
        note = {"kubernetes.io/service-account.name": name}
        meta = {"name": name, "namespace": SPACE}
        things.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
        secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token"}
        things.append(secret | {"metadata": meta | {"annotations": note}})
    admin.apply(yaml.safe_dump_all(things))
    admin.apply((versions.FOLDER / "existing" / "role.yaml").read_text(), "-n", SPACE)
    admin("create", "rolebinding", "student", "-n", SPACE, "--role=course-user", f"--serviceaccount={SPACE}:student")
    inner = config["contexts"][0]["context"]
    config["users"], config["contexts"] = [], []
    for name in ("student", "nobody"):
        admin("wait", "-n", SPACE, f"secret/{name}", "--for=jsonpath={.data.token}", "--timeout=60s")
        token = admin("get", "secret", name, "-n", SPACE, "-o", "jsonpath={.data.token}")
        config["users"].append({"name": name, "user": {"token": base64.b64decode(token).decode()}})
        context = {"cluster": inner["cluster"], "user": name, "namespace": SPACE}
        config["contexts"].append({"name": name, "context": context})
    config["current-context"] = "nobody"
    path = tmp_path_factory.mktemp("theirs") / "config"
    access.write(path, config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(path))
        patch.setenv("LABKIT_HOME", str(path.parent / "home"))
        yield path
    admin("delete", "namespace", SPACE, "--wait=false")


def names(kube: Kube) -> set[str]:
    kinds = "roles,rolebindings,secrets,configmaps,persistentvolumeclaims,deployments,services"
    return set(kube("get", kinds, "-n", SPACE, "-o", "name").split())


def test_who_may_nothing_is_told_what_and_how_an_administrator_gives_it(theirs: Path) -> None:
    with pytest.raises(LabError, match=r"you may not: .*create workflows\.argoproj\.io") as caught:
        cluster.up("big", "existing", context="nobody")
    assert "role.yaml" in caught.value.hint
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
