"""get, describe and explain; who one is, and what happened."""

from __future__ import annotations

import json
import re

import pytest
from kubectl_client import (
    SECONDS,
    Kubectl,
    configmap,
    deployment,
    pod,
    table,
    tfjob,
    until_event,
    without_user,
    workflow,
)


def test_api_resources_names_every_kind(cluster: Kubectl) -> None:
    rows = {r["NAME"]: r for r in table(cluster("api-resources"))}
    assert rows["deployments"]["SHORTNAMES"] == "deploy"
    assert rows["tfjobs"]["APIVERSION"] == "kubeflow.org/v1"
    assert rows["nodes"]["NAMESPACED"] == "false"
    assert {"workflows", "workflowtemplates", "pods", "events", "endpointslices"} <= set(rows)


def test_get_prints_each_output_format(kubectl: Kubectl) -> None:
    kubectl.apply(configmap("one", a="1"), configmap("two", a="1", b="2"))
    rows = {r["NAME"]: r["DATA"] for r in table(kubectl("get", "cm"))}
    assert (rows["one"], rows["two"]) == ("1", "2")
    assert kubectl("get", "cm", "two", "-o", "jsonpath={.data.b}") == "2"
    assert '\n  b: "2"\n' in kubectl("get", "cm", "two", "-o", "yaml")
    assert kubectl("get", "cm", "one", "two", "-o", "name") == "configmap/one\nconfigmap/two\n"
    columns = kubectl("get", "cm", "-o", "custom-columns=N:.metadata.name,D:.data.b", "--sort-by=.metadata.name")
    assert [r["D"] for r in table(columns) if r["N"] in ("one", "two")] == ["<none>", "2"]


def test_get_selects_and_sorts(kubectl: Kubectl) -> None:
    kubectl.apply(configmap("b", x="1"), configmap("a", x="1", y="2"))
    kubectl("label", "cm", "a", "tier=front")
    assert kubectl("get", "cm", "-l", "tier in (front)", "-o", "name") == "configmap/a\n"
    assert kubectl("get", "cm", "--field-selector", "metadata.name=b", "-o", "name") == "configmap/b\n"
    assert [r["NAME"] for r in table(kubectl("get", "cm", "--sort-by=.data.y"))][-1] == "a"
    assert table(kubectl("get", "cm", "a", "-L", "tier", "--show-labels"))[0]["TIER"] == "front"
    assert kubectl.namespace in {r["NAMESPACE"] for r in table(kubectl("get", "cm", "-A"))}
    assert kubectl.run("get", "cm", "-l", "tier=back").err == f"No resources found in {kubectl.namespace} namespace.\n"


def test_what_is_not_there_is_not_found(kubectl: Kubectl) -> None:
    assert kubectl.run("get", "pod", "no").err == 'Error from server (NotFound): pods "no" not found\n'
    assert kubectl.run("get", "nothings").err == 'error: the server doesn\'t have a resource type "nothings"\n'
    assert kubectl.run("get", "cronjobs").code == 1


def test_get_wide_shows_where_a_pod_runs(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p"))
    kubectl("wait", "--for=condition=Ready", "pod/p", f"--timeout={SECONDS}s")
    row = table(kubectl("get", "pods", "-o", "wide"))[0]
    assert (row["READY"], row["STATUS"], row["NODE"]) == ("1/1", "Running", "labkit")
    assert row["IP"].startswith(("10.244.", "127."))


def test_get_watches(kubectl: Kubectl) -> None:
    kubectl.apply(configmap("seen", a="1"))
    watching = kubectl.started("get", "cm", "seen", "-w", "-o", 'jsonpath={.data.a}{"\\n"}')
    rows = kubectl.started("get", "cm", "--field-selector", "metadata.name=seen", "-w")
    assert watching.stdout
    assert rows.stdout
    try:
        assert watching.stdout.readline() == "1\n"
        assert rows.stdout.readline().split() == ["NAME", "DATA", "AGE"]
        assert rows.stdout.readline().split()[:2] == ["seen", "1"]
        kubectl("patch", "cm", "seen", "-p", '{"data":{"a":"2","b":"3"}}')
        assert watching.stdout.readline() == "2\n"
        assert rows.stdout.readline().split()[:2] == ["seen", "2"]
    finally:
        for process in (watching, rows):
            process.kill()
            process.communicate()


def test_describe_tells_a_pods_story(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p"))
    kubectl("wait", "--for=condition=Ready", "pod/p", f"--timeout={SECONDS}s")
    until_event(kubectl, "Started")
    text = kubectl("describe", "pod", "p")
    assert re.search(r"Status: +Running", text)
    assert re.search(r"Node: +labkit/127.0.0.1", text)
    assert re.search(r"Normal +Scheduled .* Successfully assigned", text)
    assert re.search(r"Normal +Started", text)


def test_describe_knows_the_other_kinds(kubectl: Kubectl) -> None:
    kubectl.apply(deployment(), tfjob("tf"), workflow("wf"))
    kubectl("create", "job", "j", "--image=busybox", "--", "true")
    kubectl("expose", "deployment", "web", "--port=80")
    kubectl("rollout", "status", "deployment", "web", f"--timeout={SECONDS}s")
    assert re.search(r"NewReplicaSet: +web-\w+ \(1/1 replicas created\)", kubectl("describe", "deployment", "web"))
    assert re.search(r"Parallelism: +1", kubectl("describe", "job", "j"))
    assert re.search(r"Endpoints: +(10\.244|127)\.\d+\.\d+:\d+", kubectl("describe", "service", "web"))
    assert "Tf Replica Specs" in kubectl("describe", "tfjob", "tf")
    assert "Entrypoint:  main" in kubectl("describe", "workflow", "wf")
    node = kubectl("describe", "node", "labkit")
    assert re.search(r"Ready +True", node)
    assert re.search(r"Non-terminated Pods: +\(\d+ in total\)", node)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("pod.spec.containers.livenessProbe", "Periodic probe of container liveness"),
        ("deployment.spec.strategy", "The deployment strategy to use to replace existing pods with new ones."),
        ("job.spec.backoffLimit", "Specifies the number of retries before marking this job failed."),
        ("tfjob", "distributed TensorFlow program"),
        ("tfjob.spec.runPolicy", "CleanPodPolicy defines the policy to kill pods after the job completes."),
        ("tfjob.spec.tfReplicaSpecs.template.spec.containers", "Arguments to the entrypoint."),
        ("workflow.spec.templates.dag.tasks", "Depends are name of other targets which this depends on"),
        ("workflowtemplate.spec", "Entrypoint is a template reference to the starting point"),
        ("storageclass", "StorageClass describes the parameters for a class of storage"),
    ],
)
def test_explain_knows_the_fields(cluster: Kubectl, path: str, words: str) -> None:
    assert words in " ".join(cluster("explain", path).split())


def test_explain_shows_the_whole_tree(cluster: Kubectl) -> None:
    text = cluster("explain", "tfjob.spec", "--recursive")
    assert re.search(r"tfReplicaSpecs\t<map\[string\]Object> -required-", text)
    assert "livenessProbe" in text
    assert 'field "nothing" does not exist' in cluster.run("explain", "pod.nothing").err


def test_auth_whoami_and_can_i(cluster: Kubectl) -> None:
    assert cluster("auth", "can-i", "create", "deployments") == "yes\n"
    rows = {r["ATTRIBUTE"]: r["VALUE"] for r in table(cluster("auth", "whoami"))}
    assert rows == {"Username": "kubernetes-admin", "Groups": "[system:masters system:authenticated]"}
    assert "*.*" in cluster("auth", "can-i", "--list")


def test_top_is_refused_with_a_hint(cluster: Kubectl) -> None:
    for what in ("nodes", "pods"):
        refused = cluster.run("top", what)
        assert refused.code == 1
        assert "--engine kind" in refused.err


def test_a_wrong_token_is_unauthorized(kubectl: Kubectl) -> None:
    refused = kubectl.run("get", "pods", "--token=wrong", f"--kubeconfig={without_user(kubectl)}")
    assert "You must be logged in to the server" in refused.err


def test_version_and_health(cluster: Kubectl) -> None:
    assert json.loads(cluster("version", "-o", "json"))["serverVersion"]["minor"] == "34"
    assert cluster("get", "--raw", "/readyz") == "ok"
    assert cluster("cluster-info").startswith("\x1b") or "is running at" in cluster("cluster-info")


def test_events_are_listed_in_time(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", "true"))
    until_event(kubectl, "Started")
    rows = table(kubectl("events", "--for", "pod/p"))
    assert rows[0]["REASON"] == "Scheduled"
    assert {"TYPE", "OBJECT", "MESSAGE"} <= set(rows[0])
    assert "Started" in {r["REASON"] for r in table(kubectl("get", "events"))}


def test_a_missing_kind_is_reported_with_where_it_is_available(kubectl: Kubectl) -> None:
    hint = "use `labkit up --engine kind`"
    kubectl("create", "deployment", "d", "--image=busybox", "--replicas=0")
    for words in (
        "create pdb p --selector=a=b --min-available=1",
        "autoscale deployment d --max=3",
        "create quota q",
        "get --raw /api/v1/namespaces/default/services/x/proxy/",
    ):
        assert hint in kubectl.run(*words.split()).err
    assert hint in kubectl.run("cluster-info", "dump").err
    made = kubectl.run("create", "-f", "-", stdin=json.dumps(workflow("w") | {"spec": {"entrypoin": "main"}}))
    assert (made.code, made.err) == (0, 'Warning: unknown field "spec.entrypoin"\n')
