"""Workflows from end to end on a whole embedded cluster, isolated and portable: the client, the controllers, the kubelet,
real programs, and the executor between them."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator

import httpx
import pytest
from argo_client import NAMESPACE, Argo, echo
from s3_store import S3, S3Server

from kubeproc import engine
from kubeproc.argo.executor import repository
from kubeproc.folder import ClusterFolder


@pytest.fixture(scope="module", params=["0", "1"], ids=["isolated", "portable"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterFolder]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_PORTABLE", request.param)
        found = ClusterFolder(tmp_path_factory.mktemp("whole") / "c")
        engine.up(found)
        try:
            yield found
        finally:
            engine.down(found)


@pytest.fixture(scope="module")
def argo(folder: ClusterFolder) -> Iterator[Argo]:
    found = Argo(folder.kubeconfig)
    yield found
    found.http.close()
    found.client.close()


def nodes(workflow: dict) -> dict[str, dict]:
    return {n["displayName"]: n for n in workflow["status"]["nodes"].values()}


def program(name: str, script: str, outputs: dict, **inputs: list) -> dict:
    container = {"image": "busybox", "command": ["sh", "-c"], "args": [script]}
    return {"name": name, "container": container, "outputs": outputs, "inputs": inputs}


PASSING_ON = [
    {
        "name": "main",
        "dag": {
            "tasks": [
                {"name": "make", "template": "make"},
                {
                    "name": "use",
                    "template": "use",
                    "dependencies": ["make"],
                    "arguments": {
                        "artifacts": [
                            {"name": "in", "from": "{{tasks.make.outputs.artifacts.out}}"},
                            {"name": "raw", "raw": {"data": "raw"}},
                        ],
                        "parameters": [{"name": "p", "value": "{{tasks.make.outputs.parameters.p}}"}],
                    },
                },
                {
                    "name": "say",
                    "template": "say",
                    "dependencies": ["use"],
                    "arguments": {"parameters": [{"name": "r", "value": "{{tasks.use.outputs.result}}"}]},
                },
            ]
        },
    },
    program(
        "make",
        "mkdir -p /out/d && echo hello > /out/d/f && echo 7 > /tmp/p",
        {
            "artifacts": [{"name": "out", "path": "/out/d"}],
            "parameters": [{"name": "p", "valueFrom": {"path": "/tmp/p"}}],
        },
    ),
    {
        "name": "use",
        "inputs": {
            "artifacts": [{"name": "in", "path": "/data/in"}, {"name": "raw", "path": "/data/raw"}],
            "parameters": [{"name": "p"}],
        },
        "script": {
            "image": "python",
            "command": ["python3"],
            "source": "print(open('/data/in/f').read() + open('/data/raw').read() + '{{inputs.parameters.p}}')",
        },
    },
    echo("say", "{{inputs.parameters.r}}", inputs={"parameters": [{"name": "r"}]}),
]


def test_parameters_artifacts_and_results_are_passed_on(argo: Argo) -> None:
    workflow = argo.wait(argo.submit(PASSING_ON))
    assert workflow["status"]["phase"] == "Succeeded", workflow["status"]
    found = nodes(workflow)
    assert found["use"]["outputs"]["result"] == "hello\nraw7"
    assert found["make"]["outputs"]["parameters"][0]["value"] == "7"


TRAINING = """
apiVersion: kubeflow.org/v1
kind: TFJob
metadata: {generateName: t-}
spec:
  successPolicy: AllWorkers
  tfReplicaSpecs:
    Worker:
      replicas: 2
      restartPolicy: Never
      template:
        spec:
          containers:
          - {name: tensorflow, image: busybox, command: [sh, -c, "{{inputs.parameters.command}}"]}
"""


def test_a_training_job_that_fails_does_not_sink_the_workflow(argo: Argo) -> None:
    calls = [
        {"name": name, "template": "train", "continueOn": {"failed": True},
         "arguments": {"parameters": [{"name": "command", "value": command}]}}
        for name, command in (("good", "exit 0"), ("bad", "exit 3"))
    ]  # fmt: skip
    train = {
        "name": "train",
        "inputs": {"parameters": [{"name": "command"}]},
        "resource": {
            "action": "create",
            "setOwnerReference": True,
            "successCondition": "status.replicaStatuses.Worker.succeeded = 2",
            "failureCondition": "status.replicaStatuses.Worker.failed > 0",
            "manifest": TRAINING,
        },
        "outputs": {"parameters": [{"name": "job", "valueFrom": {"jsonPath": "{.metadata.name}"}}]},
    }
    name = argo.submit([{"name": "main", "steps": [calls]}, train])
    workflow = argo.wait(name)
    assert workflow["status"]["phase"] == "Succeeded"
    found = nodes(workflow)
    failed = "failure condition '{status.replicaStatuses.Worker.failed gt [0]}' evaluated true"
    assert found["bad"]["message"] == f"main: Error (exit code 64): {failed}"
    job = found["good"]["outputs"]["parameters"][0]["value"]
    owner = argo.http.get(f"/apis/kubeflow.org/v1/namespaces/{NAMESPACE}/tfjobs/{job}").json()["metadata"]
    assert [o["name"] for o in owner["ownerReferences"]] == [name]


def test_a_missing_output_is_the_nodes_error(argo: Argo) -> None:
    asked = {"parameters": [{"name": "a", "valueFrom": {"path": "/tmp/a"}}]}
    workflow = argo.wait(argo.submit([program("main", "true", asked)]))
    assert workflow["status"]["phase"] == "Error"
    words = "wait: Error (exit code 64): open /var/run/argo/outputs/parameters/tmp/a: no such file or directory"
    assert workflow["status"]["message"] == words


def test_a_server_killed_while_pods_work_loses_no_output(argo: Argo, folder: ClusterFolder) -> None:
    script = "while [ ! -e /shared/go ]; do sleep 0.05; done; echo {{item}} > /tmp/n"
    volumes = [{"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}}]
    claim = {"metadata": {"name": "shared"}, "spec": {"accessModes": ["ReadWriteOnce"],
             "resources": {"requests": {"storage": "1Mi"}}}}  # fmt: skip
    assert argo.http.post(f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims", json=claim).status_code == 201
    one = program("one", script.replace("{{item}}", "{{inputs.parameters.n}}"), {}, parameters=[{"name": "n"}])
    one["outputs"] = {"parameters": [{"name": "n", "valueFrom": {"path": "/tmp/n"}}]}
    one["container"]["volumeMounts"] = [{"name": "shared", "mountPath": "/shared"}]
    each = {"name": "each", "template": "one", "withItems": list(range(5)),
            "arguments": {"parameters": [{"name": "n", "value": "{{item}}"}]}}  # fmt: skip
    name = argo.submit([{"name": "main", "steps": [[each]]}, one], volumes=volumes)
    query = {"watch": "true", "labelSelector": f"workflows.argoproj.io/workflow={name}"}
    running: set[str] = set()
    with argo.http.stream("GET", f"/api/v1/namespaces/{NAMESPACE}/pods", params=query) as events:
        for line in events.iter_lines():
            if '"phase":"Running"' in line:
                running.add(line.split('"name":"', 1)[1].split('"', 1)[0])
            if len(running) == 5:
                break
    server = engine.daemon(folder, "server").pid
    assert server
    shared = folder.volumes / NAMESPACE / "shared"
    shared.joinpath("go").touch()
    os.kill(server, signal.SIGKILL)
    workflow = eventually(argo, name)
    assert workflow["status"]["phase"] == "Succeeded"
    values = [
        n["outputs"]["parameters"][0]["value"] for n in workflow["status"]["nodes"].values() if n["type"] == "Pod"
    ]
    assert sorted(values) == ["0", "1", "2", "3", "4"]


def eventually(argo: Argo, name: str, seconds: float = 40) -> dict:
    """The workflow's end, over a server that is away for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return argo.wait(name)
        except (httpx.TransportError, AssertionError, KeyError):
            time.sleep(0.05)  # the server is being started again
    raise AssertionError(f"{name} did not end")


def test_artifacts_are_kept_in_a_configured_s3_store(argo: Argo, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = S3Server(tmp_path_factory.mktemp("s3"))
    core = f"/api/v1/namespaces/{NAMESPACE}"
    text = S3.replace("x:1", f"127.0.0.1:{store.port}").replace("bucket: b", "bucket: bucket")
    meta = {"name": "artifact-repositories", "annotations": {repository.DEFAULT_KEY: "one"}}
    try:
        argo.http.post(f"{core}/configmaps", json={"metadata": meta, "data": {"one": text}}).raise_for_status()
        secret = {"metadata": {"name": "s"}, "stringData": {"a": "key", "b": "secret"}}
        argo.http.post(f"{core}/secrets", json=secret).raise_for_status()
        name = argo.submit(PASSING_ON)
        workflow = argo.wait(name)
        assert workflow["status"]["phase"] == "Succeeded", workflow["status"]
        make = nodes(workflow)["make"]
        assert make["outputs"]["artifacts"][0]["s3"]["key"] == f"my/{name}/out.tgz"
        assert (store.folder / "bucket/my" / name / "out.tgz").exists()
        answer = argo.http.get(f"/artifacts/{NAMESPACE}/{name}/{make['id']}/out")
        assert answer.content == (store.folder / "bucket/my" / name / "out.tgz").read_bytes()
        log = argo.http.get(f"/artifacts/{NAMESPACE}/{name}/{nodes(workflow)['say']['id']}/main-logs")
        assert log.text == "hello\nraw7\n"
    finally:
        argo.http.delete(f"{core}/configmaps/artifact-repositories")
        argo.http.delete(f"{core}/secrets/s")
        store.stop()


def test_a_step_whose_pod_is_deleted_has_failed_at_once(argo: Argo) -> None:
    """A shell that is pid 1 would ignore the TERM for its 30 s of grace; below Argo's emissary it does not."""
    sleeps = {"name": "main", "container": {"image": "busybox", "command": ["sh", "-c", "sleep 1000; echo done"]}}
    never = {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "metadata": {"generateName": "t-"}, "spec": {
        "runPolicy": {"suspend": True}, "tfReplicaSpecs": {"Worker": {"template": {"spec": {
            "containers": [{"name": "tensorflow", "image": "busybox"}]}}}}}}  # fmt: skip
    made = {"action": "create", "successCondition": "status.succeeded > 0", "manifest": json.dumps(never)}
    waits = {"name": "main", "resource": made}
    names = {argo.submit([sleeps]): "main: Error (exit code 143)",
             argo.submit([waits]): "main: Error (exit code 64): context canceled"}  # fmt: skip
    for name in names:
        argo.pod_runs(name)
        argo.http.delete(f"/api/v1/namespaces/{NAMESPACE}/pods/{name}").raise_for_status()
    for name, message in names.items():
        ended = argo.wait(name, seconds=25)["status"]
        assert (ended["phase"], ended["message"]) == ("Failed", message)


def test_without_a_role_workflows_fail_in_the_words_of_a_real_cluster(argo: Argo) -> None:
    argo.http.post("/api/v1/namespaces", json={"metadata": {"name": "bare"}}).raise_for_status()
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made"}}
    hello = {"image": "busybox", "command": ["echo", "hello"]}
    templates = {
        "plain": {"container": hello},
        "output": {"container": hello, "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/etc/hosts"}}]}},
        "resource": {"resource": {"action": "create", "manifest": json.dumps(made)}},
    }
    root, who = "/api/v1/workflows/bare", 'User "system:serviceaccount:bare:default" cannot create resource'
    for name, template in templates.items():
        spec = {"entrypoint": "main", "templates": [{"name": "main"} | template]}
        argo.http.post(root, json={"workflow": {"metadata": {"name": name}, "spec": spec}}).raise_for_status()
    unreported = (
        f'wait: Error (exit code 64): workflowtaskresults.argoproj.io is forbidden: {who} "workflowtaskresults" in API '
        'group "argoproj.io" in the namespace "bare"'
    )
    unmade = (
        "main: Error (exit code 64): no more retries Error from server (Forbidden): error when creating "
        f'"/tmp/manifest.yaml": configmaps is forbidden: {who} "configmaps" in API group "" in the namespace "bare"'
    )
    expected = {"plain": ("Error", unreported), "output": ("Error", unreported), "resource": ("Failed", unmade)}
    for name, outcome in expected.items():
        status = argo.wait(name, namespace="bare")["status"]
        assert (status["phase"], status.get("message")) == outcome
