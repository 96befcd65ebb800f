"""What an account lacks is told before anything is made, each verb of it, with what an administrator runs."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from accounts import SPACE
from books import WORKFLOWS
from labkit import cluster, paths
from labkit.errors import LabError
from realkube.existing import existing_engine, rights
from realkube.kind import access
from realkube.programs import Kube

Give = Callable[[list[dict]], None]
WHOLE = yaml.safe_load(rights.ROLE.read_text())["rules"]


def refused(context: str = "maker", namespace: str | None = None) -> LabError:
    with pytest.raises(LabError) as caught:
        cluster.up("big", "existing", context=context, **({"namespace": namespace} if namespace else {}))
    assert cluster.status("big")["state"] == "absent"
    assert not paths.cluster("big").root.exists(), "nothing was begun, and no token is left"
    assert "forbidden" not in caught.value.message, "kubectl's own words are not what a student reads"
    return caught.value


def without(verb: str, resource: str) -> list[dict]:
    """The rules of role.yaml but for one verb on one resource."""
    rules = []
    for rule in copy.deepcopy(WHOLE):
        if resource in rule["resources"]:
            rule["resources"].remove(resource)
            verbs = (
                ["get", "list", "watch", "create", "update", "patch", "delete"]
                if rule["verbs"] == ["*"]
                else rule["verbs"]
            )
            rules.append(rule | {"resources": [resource], "verbs": [v for v in verbs if v != verb]})
        rules.append(rule)
    return [rule for rule in rules if rule["resources"]]


def test_who_may_nothing_is_told_every_verb(theirs: Path) -> None:
    error = refused("nobody")
    assert error.message.startswith(
        f"in the namespace {SPACE} you may not: get, list, watch, create, update, patch, delete pods; "
    )
    for words in ("get pods/log", "get, create pods/portforward", "get, patch deployments/scale.apps"):
        assert f"; {words}; " in error.message
    assert "get, list, watch, create, update, patch, delete workflowtemplates.argoproj.io" in error.message
    assert "can grant only if you have them: create, patch workflowtaskresults.argoproj.io" in error.message


@pytest.mark.parametrize(
    ("verb", "resource", "told"),
    [
        ("get", "pods", "you may not: get pods"),
        ("watch", "tfjobs", "you may not: watch tfjobs.kubeflow.org"),
        ("delete", "persistentvolumeclaims", "you may not: delete persistentvolumeclaims"),
        ("get", "pods/portforward", "you may not: get pods/portforward"),
        ("patch", "deployments/scale", "you may not: patch deployments/scale.apps"),
        ("patch", "rolebindings", "you may not: patch rolebindings.rbac.authorization.k8s.io"),
        (
            "patch",
            "workflowtaskresults",
            "that you can grant only if you have them: patch workflowtaskresults.argoproj.io",
        ),
    ],
)
def test_each_verb_that_is_missing_is_told_alone(maker: Give, verb: str, resource: str, told: str) -> None:
    maker(without(verb, resource))
    assert refused().message.endswith(told)


def test_a_role_that_lets_only_create_is_told_before_anything_is_made(maker: Give) -> None:
    rules = [rule | {"verbs": ["create"]} for rule in WHOLE]
    maker(rules)
    error = refused()
    assert "get, list, watch, update, patch, delete tfjobs.kubeflow.org" in error.message
    assert "create pods" not in error.message
    assert error.message.endswith("can grant only if you have them: patch workflowtaskresults.argoproj.io")


def test_what_an_administrator_is_told_to_run_gives_all_that_was_missing(theirs: Path, admin: Kube) -> None:
    hint = refused("nobody").hint
    commands = hint.removeprefix("an administrator grants it: ").split("; ")
    assert commands[0] == f"kubectl create namespace {SPACE} (unless it exists)"
    assert commands[-1].endswith(f"--serviceaccount={SPACE}:nobody")
    for command in commands[1:]:
        words = shlex.split(command)
        assert words[0] == "kubectl"
        admin(*words[1:])
    nobody = Kube(theirs)
    try:
        rights.check(nobody, SPACE)
    finally:
        admin("delete", "rolebinding", "course-user", "-n", SPACE)


def test_who_may_escalate_and_bind_needs_not_hold_what_he_gives(maker: Give, tmp_path: Path) -> None:
    extra = {"apiGroups": [rights.RBAC], "resources": ["roles"], "verbs": ["escalate", "bind"]}
    maker([*without("patch", "workflowtaskresults"), extra])
    maker_alone = tmp_path / "maker.kubeconfig"
    access.write(maker_alone, existing_engine._context("maker", None))
    rights.check(Kube(maker_alone), SPACE)


HELLO = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: greeting}
spec:
  entrypoint: main
  templates:
  - name: main
    container: {image: busybox, command: [echo, hello]}
"""


def test_who_has_just_what_is_asked_for_can_work(maker: Give, theirs: Path) -> None:
    """From `up` to `down` with kubectl's verbs between them: nothing is used that was not asked for."""
    maker([rule(right) for right in {*rights.used(), *rights.granted()}])
    kube = Kube(Path(cluster.up("big", "existing", context="maker")["kubeconfig"]))
    try:
        kube("apply", "-f", str(WORKFLOWS / "claim.yaml"), "-f", str(WORKFLOWS / "hello-pod.yaml"))
        kube("create", "-f", "-", input=HELLO)
        kube("wait", "workflow/greeting", "--for=condition=Completed", "--timeout=60s")
        assert kube("logs", "greeting", "-c", "main").strip() == "hello"
        kube("scale", "deployment/artifact-store", "--replicas=2")
        kube("rollout", "status", "deployment/artifact-store", "--timeout=60s")
        assert kube("exec", "deployment/artifact-store", "--", "echo", "in it").strip() == "in it"
        assert "artifact-store" in cluster.daemon_logs("big")
        kube("delete", "workflow/greeting", "pod/hello", "pvc/labkit-data", "--wait=false")
    finally:
        cluster.down("big", purge=True)


def rule(right: rights.Right) -> dict:
    resource, _, group = right.resource.partition(".")
    return {"apiGroups": [group], "resources": [resource], "verbs": [right.verb]}


def test_a_namespace_that_is_not_there_is_made_by_an_administrator(
    theirs: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hint = refused("nobody", namespace="nosuchns").hint
    assert "kubectl create namespace nosuchns (unless it exists); kubectl apply -n nosuchns -f" in hint
    monkeypatch.setenv("KUBECONFIG", str(cluster))
    owner = yaml.safe_load(cluster.read_text())["current-context"]
    error = refused(owner, namespace="nosuchns")
    assert (error.message, error.hint) == ("there is no namespace nosuchns", "kubectl create namespace nosuchns")


def test_what_the_steps_are_given_is_read_from_the_role_that_gives_it() -> None:
    granted = {right.resource for right in rights.granted()}
    assert {
        "workflowtaskresults.argoproj.io",
        "tfjobs.kubeflow.org",
        "deployments.apps",
        "jobs.batch",
        "services",
    } <= granted
    assert not granted & {"secrets", "roles.rbac.authorization.k8s.io", "workflowtaskresults"}
    assert rights.Right("patch", "workflowtaskresults.argoproj.io") in rights.granted()
    # so that who may work in a namespace can give the steps their Role
    assert set(rights.granted()) <= {
        *rights.used(),
        *(r for r in rights.granted() if r.resource.startswith("workflowtask")),
    }
