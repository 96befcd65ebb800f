"""Machines that fail in mid-training and in mid-workflow: what the operators make of it, and how the work goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kubernetes import client, watch

from clusters import Kube, let_workflows_run
from kubeproc import engine
from labkit.engines import nodes

from .conftest import HOST, Object

TFJOBS, WORKFLOWS = ("kubeflow.org", "v1", "tfjobs"), ("argoproj.io", "v1alpha1", "workflows")
PREFERRED = [{"weight": 100, "preference": {"matchExpressions": [
    {"key": HOST, "operator": "In", "values": ["labkit-2"]}]}}]  # fmt: skip
SECOND_IF_IT_IS_THERE = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": PREFERRED}}


def training(name: str, restart: str, attempt: str = "0") -> Object:
    """A TFJob with a worker on labkit-2, if that is there; its first attempt does not end."""
    command = ["sh", "-c", f"[ {attempt} = 0 ] && sleep 1000; echo trained"]
    main = {"name": "tensorflow", "image": "busybox", "command": command}

    def replica(**where: Object) -> Object:
        return {"replicas": 1, "restartPolicy": restart, "template": {"spec": {"containers": [main], **where}}}

    replicas = {"Chief": replica(nodeSelector={HOST: "labkit"}), "Worker": replica(affinity=SECOND_IF_IT_IS_THERE)}
    return {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "metadata": {"name": name},
            "spec": {"tfReplicaSpecs": replicas, "runPolicy": {"cleanPodPolicy": "Running"}}}  # fmt: skip


def create(kube: Kube, kind: tuple[str, str, str], body: Object) -> None:
    group, version, plural = kind
    client.CustomObjectsApi(kube.api).create_namespaced_custom_object(group, version, kube.namespace, plural, body)


def custom_until(kube: Kube, kind: tuple[str, str, str], name: str, holds: Callable[[Object], Any]) -> Object:
    group, version, plural = kind
    listed = client.CustomObjectsApi(kube.api).list_namespaced_custom_object
    for event in watch.Watch().stream(listed, group, version, kube.namespace, plural, timeout_seconds=30):
        if event["object"]["metadata"]["name"] == name and holds(event["object"].get("status", {})):
            return event["object"]["status"]
    raise AssertionError(f"{plural}/{name} within 30 s")


def test_a_training_fails_with_a_machine_of_its_replicas_whatever_their_restart_policy(kube: Kube) -> None:
    """A pod that is Running and being deleted counts as failed, and is not restarted: it never ended."""
    policies = ("Never", "OnFailure", "Always", "ExitCode")
    for policy in policies:
        create(kube, TFJOBS, training(policy.lower(), policy))
    for policy in policies:
        assert kube.running(f"{policy.lower()}-worker-0")["spec"]["nodeName"] == "labkit-2"
    nodes.stop(engine, kube.folder, "labkit-2")
    for policy in policies:
        name = policy.lower()
        found = custom_until(kube, TFJOBS, name, lambda s: s.get("completionTime"))
        last = found["conditions"][-1]
        words = f"TFJob {kube.namespace}/{name} has failed because 1 Worker replica(s) failed."
        assert (last["type"], last["status"], last["message"]) == ("Failed", "True", words)


def test_a_workflow_trains_again_elsewhere(kube: Kube) -> None:
    let_workflows_run(kube.api, kube.namespace)
    manifest = training("train-{{retries}}", "ExitCode", attempt="{{retries}}")
    train = {"name": "train", "nodeSelector": {HOST: "labkit"}, "retryStrategy": {"limit": "2", "retryPolicy": "Always"},
             "resource": {"action": "create", "manifest": json.dumps(manifest),
                          "successCondition": "status.replicaStatuses.Chief.succeeded > 0",
                          "failureCondition": "status.replicaStatuses.Worker.failed > 0"}}  # fmt: skip
    create(kube, WORKFLOWS, {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "drill"},
                             "spec": {"entrypoint": "train", "templates": [train]}})  # fmt: skip
    assert kube.running("train-0-worker-0")["spec"]["nodeName"] == "labkit-2"
    nodes.stop(engine, kube.folder, "labkit-2")
    found = custom_until(kube, WORKFLOWS, "drill", lambda s: s.get("finishedAt"))
    attempts = sorted((n for n in found["nodes"].values() if n["type"] == "Pod"), key=lambda n: n["startedAt"])
    assert [n["phase"] for n in attempts] == ["Failed", "Succeeded"]
    assert found["phase"] == "Succeeded"


def test_a_step_of_a_workflow_is_made_again_elsewhere(kube: Kube) -> None:
    """Without a retryStrategy: nobody has reported how it ended."""
    let_workflows_run(kube.api, kube.namespace)
    script = '[ "$NODE" = labkit-2 ] && sleep 1000; echo done on $NODE'
    where = [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]
    work = {"name": "work", "affinity": SECOND_IF_IT_IS_THERE,
            "container": {"image": "busybox", "command": ["sh", "-c", script], "env": where}}  # fmt: skip
    create(kube, WORKFLOWS, {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "drill"},
                             "spec": {"entrypoint": "work", "templates": [work]}})  # fmt: skip
    assert kube.running("drill")["spec"]["nodeName"] == "labkit-2"
    nodes.stop(engine, kube.folder, "labkit-2")
    found = custom_until(kube, WORKFLOWS, "drill", lambda s: s.get("finishedAt"))
    (step,) = found["nodes"].values()
    assert (found["phase"], step["phase"]) == ("Succeeded", "Succeeded")
    assert step["hostNodeName"] != "labkit-2"
    told = [e.message for e in kube.core.list_namespaced_event(kube.namespace).items if e.reason == "WorkflowNodeError"]
    assert told == ["Error node drill: pod deleted"]
