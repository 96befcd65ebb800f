"""Pods of a TFJob and of a Workflow, end to end: ports that meet, values that travel."""

from __future__ import annotations

from kubernetes import client, watch

from clusters import Kube, let_workflows_run

CHIEF = """
import json, os, socket, time
task = json.loads(os.environ["TF_CONFIG"])
host, port = task["cluster"]["worker"][0].split(":")
while True:
    try:
        with socket.create_connection((host, int(port)), 5) as sock:
            print(sock.recv(100).decode())
        break
    except OSError:
        time.sleep(0.05)
"""
WORKER = """
import json, os, socket
task = json.loads(os.environ["TF_CONFIG"])
port = task["cluster"]["worker"][task["task"]["index"]].split(":")[1]
assert port == os.environ.get("PORT", "2222"), port
server = socket.create_server((os.environ.get("HOST", ""), int(port)))
while True:
    sock, _ = server.accept()
    sock.sendall(b"hello from worker")
    sock.close()
"""


def until(kube: Kube, group: str, version: str, plural: str, name: str, holds, seconds: int = 60):
    """The custom object, once `holds` is true of it."""
    objects = client.CustomObjectsApi(kube.api)
    seen = None
    for event in watch.Watch().stream(
        objects.list_namespaced_custom_object, group, version, kube.namespace, plural,
        field_selector=f"metadata.name={name}", timeout_seconds=seconds,
    ):  # fmt: skip
        seen = event["object"]
        if holds(seen):
            return seen
    raise AssertionError(f"{name} within {seconds} s: {(seen or {}).get('status')}")


def replica(program: str) -> dict:
    container = {
        "name": "tensorflow",
        "image": "labkit/lab:1",
        "command": ["python3", "-c", program],
        "env": [{"name": "PYTHONHASHSEED", "value": "1"}],  # no need to wait for a warm parent
    }
    return {
        "replicas": 1,
        "restartPolicy": "Never",
        "template": {"spec": {"containers": [container], "terminationGracePeriodSeconds": 1}},
    }


def test_the_replicas_of_a_tfjob_find_each_other(kube: Kube):
    job = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": "job"},
        "spec": {
            "runPolicy": {"cleanPodPolicy": "Running"},
            "tfReplicaSpecs": {"Chief": replica(CHIEF), "Worker": replica(WORKER)},
        },
    }
    kube_objects = client.CustomObjectsApi(kube.api)
    kube_objects.create_namespaced_custom_object("kubeflow.org", "v1", kube.namespace, "tfjobs", job)

    def over(job):
        return any(c["type"] in ("Succeeded", "Failed") and c["status"] == "True" for c in job["status"]["conditions"])

    done = until(
        kube, "kubeflow.org", "v1", "tfjobs", "job", lambda j: j.get("status", {}).get("conditions") and over(j)
    )
    assert done["status"]["conditions"][-1]["type"] == "Succeeded", done["status"]
    assert kube.log("job-chief-0") == "hello from worker\n"
    kube.gone("job-worker-0")


def test_a_workflow_hands_an_output_on_and_collects_a_script(kube: Kube):
    say = {"image": "busybox", "command": ["sh", "-c", "mkdir -p /out; echo word > /out/f; echo deep > /tmp/g"]}
    got = [{"name": "got", "value": "{{steps.a.outputs.parameters.x}}-{{steps.a.outputs.parameters.y}}"}]
    outputs = [{"name": "x", "valueFrom": {"path": "/out/f"}}, {"name": "y", "valueFrom": {"path": "/tmp/g"}}]
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "w"},
        "spec": {
            "entrypoint": "main",
            "templates": [
                {
                    "name": "main",
                    "steps": [
                        [{"name": "a", "template": "say"}],
                        [{"name": "b", "template": "add", "arguments": {"parameters": got}}],
                    ],
                },
                {"name": "say", "container": say, "outputs": {"parameters": outputs}},
                {
                    "name": "add",
                    "inputs": {"parameters": [{"name": "got"}]},
                    "script": {"image": "busybox", "command": ["sh"], "source": "echo got {{inputs.parameters.got}}"},
                },
            ],
        },
    }
    let_workflows_run(kube.api, kube.namespace)
    objects = client.CustomObjectsApi(kube.api)
    objects.create_namespaced_custom_object("argoproj.io", "v1alpha1", kube.namespace, "workflows", workflow)
    done = until(
        kube, "argoproj.io", "v1alpha1", "workflows", "w",
        lambda w: w.get("status", {}).get("phase") in ("Succeeded", "Failed", "Error"),
    )  # fmt: skip
    assert done["status"]["phase"] == "Succeeded", done["status"]
    pods = kube.core.list_namespaced_pod(kube.namespace, label_selector="workflows.argoproj.io/workflow=w").items
    name = next(pod.metadata.name for pod in pods if "add" in pod.metadata.name)
    assert kube.log(name, container="main") == "got word-deep\n"
