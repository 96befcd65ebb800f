"""What a workflow's steps may do is the same however their namespace was made: by kubectl as in the README, or by labkit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes.client import RbacAuthorizationV1Api

from clusters import let_workflows_run
from labkit import client, namespaces, paths

MANIFESTS = {
    "Job": {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": "busybox", "command": ["true"]}]}}},
    },
    "ConfigMap": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"key": "value"}},
    "Secret": {"apiVersion": "v1", "kind": "Secret", "stringData": {"key": "value"}},
}  # fmt: skip


@pytest.fixture(scope="module")
def connected(cluster: Path) -> Iterator[None]:
    """Two namespaces: `by-hand` as the README has it, `by-labkit` as `labkit run` does it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(cluster))
        client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "by-hand"}})
        let_workflows_run(client.api(), "by-hand")
        namespaces.prepare("by-labkit")
        namespaces.prepare("by-labkit")  # again changes nothing
        yield
        assert os.environ["KUBECONFIG"] == str(cluster)


def workflow(kind: str) -> dict:
    manifest = MANIFESTS[kind] | {"metadata": {"generateName": "made-"}}
    step = {"name": "main", "resource": {"action": "create", "manifest": yaml.safe_dump(manifest)}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "makes-"},
        "spec": {"entrypoint": "main", "templates": [step]},
    }


@pytest.mark.parametrize("kind", list(MANIFESTS))
def test_a_step_may_make_the_same_in_both(connected: None, kind: str) -> None:
    outcomes = {}
    for namespace in ("by-hand", "by-labkit"):
        (made,) = client.apply(workflow(kind), namespace=namespace)
        name = made["metadata"]["name"]
        ended = client.wait(
            "workflow", name, lambda w: w.get("status", {}).get("finishedAt"), namespace=namespace, timeout=40
        )
        outcomes[namespace] = ended["status"]["phase"], "orbidden" in ended["status"].get("message", "")
    expected = ("Failed", True) if kind == "Secret" else ("Succeeded", False)
    assert outcomes == dict.fromkeys(outcomes, expected), outcomes


def test_a_step_may_replace_what_is_there(connected: None) -> None:
    target = MANIFESTS["ConfigMap"] | {"metadata": {"name": "target"}}
    client.apply(target, namespace="by-hand")
    made = workflow("ConfigMap")
    made["spec"]["templates"][0]["resource"] = {
        "action": "replace",
        "manifest": yaml.safe_dump(target | {"data": {"key": "another"}}),
    }
    (made,) = client.apply(made, namespace="by-hand")
    name = made["metadata"]["name"]
    ended = client.wait(
        "workflow", name, lambda w: w.get("status", {}).get("finishedAt"), namespace="by-hand", timeout=40
    )
    assert ended["status"]["phase"] == "Succeeded", ended["status"]
    assert client.get("configmap", "target", namespace="by-hand")["data"] == {"key": "another"}


def test_there_is_one_role(connected: None) -> None:
    (written, _) = yaml.safe_load_all((paths.kit() / "workflows" / "access.yaml").read_text())
    rbac = RbacAuthorizationV1Api(client.api())
    for namespace in ("by-hand", "by-labkit"):
        (role,) = rbac.list_namespaced_role(namespace).items
        (binding,) = rbac.list_namespaced_role_binding(namespace).items
        assert client.api().sanitize_for_serialization(role.rules) == written["rules"]
        assert binding.role_ref.name == role.metadata.name
