"""create, run, expose: objects from a line and from a file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from kubectl_client import Kubectl, configmap, deployment, table, without_user, workflow


def _main(workload: Any) -> Any:
    return workload["spec"]["template"]["spec"]["containers"][0]


CREATED: dict[str, tuple[list[str], Callable[[Any], bool]]] = {
    "configmap": (["--from-literal=a=b"], lambda o: o["data"] == {"a": "b"}),
    "secret": (["--from-literal=k=v"], lambda o: o["data"] == {"k": "dg=="} and o["type"] == "Opaque"),
    "serviceaccount": ([], lambda o: o["kind"] == "ServiceAccount"),
    "deployment": (
        ["--image=busybox", "--replicas=0", "--port=80"],
        lambda o: (o["spec"]["replicas"], _main(o)["ports"]) == (0, [{"containerPort": 80, "protocol": "TCP"}]),
    ),
    "job": (
        ["--image=busybox", "--", "echo", "hi"],
        lambda o: _main(o)["command"] == ["echo", "hi"],
    ),
    "role": (
        ["--verb=get,list", "--resource=pods,deployments.apps"],
        lambda o: o["rules"][1] == {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
    ),
    "rolebinding": (
        ["--role=r", "--user=jane", "--serviceaccount=a:b"],
        lambda o: o["roleRef"]["name"] == "r" and o["subjects"][1] == {"kind": "ServiceAccount", "name": "b", "namespace": "a"},
    ),
    "clusterrole": (["--verb=get", "--resource=nodes"], lambda o: o["rules"][0]["resources"] == ["nodes"]),
    "clusterrolebinding": (["--clusterrole=c", "--group=g"], lambda o: o["subjects"][0]["kind"] == "Group"),
    "service": (
        ["--tcp=80:8080"],
        lambda o: o["spec"]["ports"][0]["targetPort"] == 8080 and o["spec"]["clusterIP"].startswith(("10.96.", "127.")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CREATED)
def test_create_makes_it_from_a_line(cluster: Kubectl, kind: str) -> None:
    arguments, right = CREATED[kind]
    verb = ["service", "clusterip"] if kind == "service" else ["secret", "generic"] if kind == "secret" else [kind]
    assert cluster("create", *verb, "made", *arguments).endswith("/made created\n")
    found = cluster.json(kind, "made")
    assert right(found), found
    again = cluster.run("create", *verb, "made", *arguments)
    assert "already exists" in again.err
    cluster("delete", kind, "made")


def test_create_from_a_file_checks_the_fields(kubectl: Kubectl) -> None:
    assert kubectl.apply(configmap("c", a="1"), verb="create") == "configmap/c created\n"
    wrong = configmap("d") | {"dat": {}}
    refused = kubectl.run("create", "-f", "-", stdin=json.dumps(wrong))
    assert 'strict decoding error: unknown field "dat"' in refused.err
    typed = deployment()
    typed["spec"]["replicas"] = "three"
    assert "spec.replicas" in kubectl.run("apply", "-f", "-", stdin=json.dumps(typed)).err
    unknown = {"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "t"}}
    assert (
        'no matches for kind "Thing" in version "example.org/v1"'
        in kubectl.run("create", "-f", "-", stdin=json.dumps(unknown)).err
    )


def test_generate_name_and_dry_run(kubectl: Kubectl) -> None:
    named = workflow("x") | {"metadata": {"generateName": "run-"}}
    assert re.fullmatch(r"workflow.argoproj.io/run-\w{5} created\n", kubectl.apply(named, verb="create"))
    assert "created (server dry run)" in kubectl("create", "cm", "dry", "--dry-run=server")
    assert kubectl.run("get", "cm", "dry").code == 1


def test_run_makes_a_pod_and_expose_a_service(kubectl: Kubectl) -> None:
    assert kubectl("run", "web", "--image=busybox", "--port=80", "--", "sleep", "100") == "pod/web created\n"
    assert kubectl("expose", "pod", "web", "--port=80", "--target-port=80") == "service/web exposed\n"
    assert table(kubectl("get", "svc", "web", "-o", "wide"))[0]["SELECTOR"] == "run=web"
    kubectl("delete", "pod", "web", "--grace-period=0", "--force")


def test_a_token_for_a_service_account_opens_the_api(kubectl: Kubectl) -> None:
    token = kubectl("create", "token", "default").strip()
    text = kubectl("auth", "whoami", "-o", "json", f"--token={token}", f"--kubeconfig={without_user(kubectl)}")
    assert json.loads(text)["status"]["userInfo"]["username"] == f"system:serviceaccount:{kubectl.namespace}:default"
