"""What runs while the server dies: each thing writes down every program that it starts, so that none may be lost or doubled.

Every program appends its pod's name to the file `ran` on a claim; how many there must be is known beforehand.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import yaml
from api import NAMESPACE, PODS, ROOT, Object, create, patiently

DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
TFJOBS = f"/apis/kubeflow.org/v1/namespaces/{NAMESPACE}/tfjobs"
WORKFLOWS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/workflows"
RBAC = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
ACCESS = Path(__file__).parents[2] / "workflows" / "access.yaml"
LONG = 120.0  # seconds until anything has ended, with a server that dies all the time
VOLUMES = [{"name": "data", "persistentVolumeClaim": {"claimName": "soak"}}]
MOUNTS = [{"name": "data", "mountPath": "/data"}]
SELF = {"name": "SELF", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
Ran = Callable[[str], Counter[str]]  # how often the programs of a pod ran, of all pods whose names begin so
NOTE = 'echo "$SELF" >> /data/ran'


def container(name: str, script: str, token: str) -> Object:
    env = [SELF, {"name": "SOAK_TOKEN", "value": token}]
    return {"name": name, "image": "busybox", "command": ["sh", "-c", script], "env": env, "volumeMounts": MOUNTS}


def pod(name: str, script: str, token: str, restart: str = "Never") -> Object:
    return {
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "containers": [container(name, script, token)],
        "volumes": VOLUMES,
    }


def prepare(http: httpx.Client, token: str) -> None:
    """The namespace, the claim, the counter and a Deployment of two replicas that run for ever."""
    create(http, "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    create(http, f"{ROOT}/persistentvolumeclaims", {"metadata": {"name": "soak"}, "spec": claim})
    create(http, f"{ROOT}/configmaps", {"metadata": {"name": "counter"}, "data": {"n": "0"}})
    for made in yaml.safe_load_all(ACCESS.read_text()):
        create(http, f"{RBAC}/{made['kind'].lower()}s", made)
    labels = {"app": "lasting"}
    template = {"metadata": {"labels": labels}, "spec": pod("main", "exec sleep 100000", token, "Always")}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    create(http, DEPLOYMENTS, {"metadata": {"name": "lasting"}, "spec": spec})
    until(http, f"{DEPLOYMENTS}/lasting", lambda d: d.get("status", {}).get("readyReplicas") == 2)


def until(http: httpx.Client, path: str, holds, seconds: float = LONG) -> Object:  # type: ignore[no-untyped-def]
    """The object, once `holds` is true of it. Asked for again and again: a watch would end with the server."""
    deadline, found = time.monotonic() + seconds, {}
    while time.monotonic() < deadline:
        answer = patiently(http, "GET", path)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        if holds(found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"{path} within {seconds} s: {found.get('status')}")


def story(http: httpx.Client, selector: str) -> str:
    """What became of the pods, for a failure's text: their statuses and their events."""
    lines = []
    for found in patiently(http, "GET", PODS, params={"labelSelector": selector}).json()["items"]:
        name = found["metadata"]["name"]
        lines.append(f"{name}: {json.dumps(found.get('status'))}")
        params = {"fieldSelector": f"involvedObject.name={name}"}
        events = patiently(http, "GET", f"{ROOT}/events", params=params).json()["items"]
        lines += [f"  {e['reason']}: {e.get('message')}" for e in events if e["type"] == "Warning"]
    return "\n".join(lines)


def true(obj: Object, *types: str) -> bool:
    conditions = obj.get("status", {}).get("conditions") or ()
    return any(c["type"] in types and c["status"] == "True" for c in conditions)


# -- a Job -------------------------------------------------------------------------------------------------------------


def job(name: str, token: str) -> Object:
    template = {"spec": pod("main", f"{NOTE}; sleep 0.3", token)}
    return {"metadata": {"name": name}, "spec": {"completions": 5, "parallelism": 2, "template": template}}


def job_is_right(http: httpx.Client, name: str, ran: Ran) -> None:
    found = until(http, f"{JOBS}/{name}", lambda j: true(j, "Complete", "Failed"))
    assert true(found, "Complete"), found["status"]
    status = found["status"]
    numbers = (status["succeeded"], status.get("failed", 0), status.get("active", 0))
    assert numbers == (5, 0, 0), story(http, f"job-name={name}")
    assert sorted(ran(name).values()) == [1] * 5, f"{name}: {ran(name)}"


# -- a TFJob: a chief, a worker that never ends, a parameter server that has to be made anew once ------------------------


def tfjob(name: str, token: str) -> Object:
    def replica(script: str, restart: str = "Never") -> Object:
        spec = pod("tensorflow", script, token)
        del spec["restartPolicy"]
        return {"replicas": 1, "restartPolicy": restart, "template": {"spec": spec}}

    # "At least" twice: a node that is killed meanwhile starts the program more often, and who counts must not care.
    again = f'{NOTE}; test "$(grep -cx "$SELF" /data/ran)" -ge 2 || exit 138; exec sleep 100000'
    both = f'[ "$(grep -cx {name}-ps-0 /data/ran)" -ge 2 ] && grep -qx {name}-worker-0 /data/ran'
    chief = f"{NOTE}; until {both}; do sleep 0.1; done; sleep 0.5"
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": name},
        "spec": {
            "runPolicy": {"cleanPodPolicy": "Running"},
            "tfReplicaSpecs": {
                "Chief": replica(chief),
                "Worker": replica(f"{NOTE}; exec sleep 100000"),
                "PS": replica(again, "ExitCode"),
            },
        },
    }


def tfjob_is_right(http: httpx.Client, name: str, ran: Ran) -> None:
    found = until(http, f"{TFJOBS}/{name}", lambda j: true(j, "Succeeded", "Failed"))
    assert true(found, "Succeeded"), found["status"]
    assert ran(name) == {f"{name}-chief-0": 1, f"{name}-worker-0": 1, f"{name}-ps-0": 2}, ran(name)
    left = patiently(http, "GET", PODS, params={"labelSelector": f"training.kubeflow.org/job-name={name}"}).json()
    names = {p["metadata"]["name"] for p in left["items"] if "deletionTimestamp" not in p["metadata"]}
    assert names <= {f"{name}-chief-0", f"{name}-worker-0", f"{name}-ps-0"}, names


# -- a Workflow: steps, a DAG, a loop, retries, parameters, an artifact ------------------------------------------------


def workflow(name: str, token: str) -> Object:
    def leaf(called: str, script: str, **more: Object | int) -> Object:
        return {"name": called, "container": container("main", f"{NOTE}; {script}", token), **more}

    number = {"parameters": [{"name": "n"}]}
    double = {"parameters": [{"name": "double", "valueFrom": {"path": "/tmp/double"}}]}
    text = {"artifacts": [{"name": "text", "path": "/tmp/text"}]}

    def doubled(called: str, value: str, *after: str) -> Object:
        arguments = {"parameters": [{"name": "n", "value": value}]}
        return {"name": called, "template": "double", "arguments": arguments, "dependencies": list(after)}

    def of(task: str) -> str:
        return f"{{{{tasks.{task}.outputs.parameters.double}}}}"

    use: Object = {"name": "use", "template": "use"}
    use["arguments"] = {"artifacts": [{"name": "text", "from": "{{steps.make.outputs.artifacts.text}}"}]}
    each: Object = {"name": "each", "template": "double", "withItems": [1, 2]}
    each["arguments"] = {"parameters": [{"name": "n", "value": "{{item}}"}]}
    templates = [
        {"name": "main", "steps": [
            [{"name": "make", "template": "make"}, {"name": "flaky", "template": "flaky"}],
            [use, each, {"name": "graph", "template": "graph"}],
        ]},
        {"name": "graph", "dag": {"tasks": [
            doubled("a", "1"), doubled("b", of("a"), "a"), doubled("c", of("a"), "a"), doubled("d", of("b"), "b", "c"),
        ]}},
        leaf("make", "echo made > /tmp/text", outputs=text),
        leaf("use", "sleep 0.2; cat /tmp/text", inputs=text),
        leaf("double", "echo $(({{inputs.parameters.n}} * 2)) > /tmp/double; sleep 0.2", inputs=number, outputs=double),
        leaf("flaky", "test {{retries}} -ge 2", retryStrategy={"limit": 2}),
    ]  # fmt: skip
    spec = {"entrypoint": "main", "templates": templates, "volumes": VOLUMES}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name}, "spec": spec}


DISPLAYED = ["[0]", "[1]", "a", "b", "c", "d", "each(0:1)", "each(1:2)", "flaky", "flaky(0)", "flaky(1)", "flaky(2)",
             "graph", "make", "use"]  # fmt: skip
RAN = 11  # programs


def workflow_is_right(http: httpx.Client, name: str, ran: Ran) -> None:
    found = until(http, f"{WORKFLOWS}/{name}", lambda w: w.get("status", {}).get("phase") in ENDED)
    status = found["status"]
    nodes = {n["displayName"]: n for n in status["nodes"].values()}
    words = {shown: (n["phase"], n.get("message")) for shown, n in nodes.items()}
    assert status["phase"] == "Succeeded", words
    assert sorted(n["displayName"] for n in status["nodes"].values()) == sorted([name, *DISPLAYED]), words
    expected = {shown: "Failed" if shown in ("flaky(0)", "flaky(1)") else "Succeeded" for shown in nodes}
    assert {shown: n["phase"] for shown, n in nodes.items()} == expected, words
    values = {shown: nodes[shown]["outputs"]["parameters"][0]["value"] for shown in ("a", "b", "d", "each(1:2)")}
    assert values == {"a": "2", "b": "4", "d": "8", "each(1:2)": "4"}
    assert sorted(ran(name).values()) == [1] * RAN, f"{name}: {ran(name)}"


# -- the same three where their programs are killed --------------------------------------------------------------------


def tries_again(kind: str, made: Object) -> Object:
    """Have it start what was killed as often as need be."""
    spec = made["spec"]
    if kind == "job":
        spec["backoffLimit"] = 1000
    elif kind == "tfjob":
        for replica in spec["tfReplicaSpecs"].values():
            replica["restartPolicy"] = "ExitCode"
    else:
        for template in spec["templates"]:
            if "container" in template:
                template["retryStrategy"] = {"limit": 1000, "retryPolicy": "Always"}
    return made


def has_succeeded(kind: str, found: Object) -> bool:
    """Whether it has come to its good end; AssertionError where it came to a bad one."""
    status = found.get("status", {})
    assert not true(found, "Failed"), status
    if kind == "workflow":
        assert status.get("phase") not in ("Failed", "Error"), status.get("message")
        return status.get("phase") == "Succeeded"
    return true(found, "Complete" if kind == "job" else "Succeeded")


def ran_enough(kind: str, name: str, ran: Ran) -> None:
    """Every program has run, some of them more often than once."""
    counts = ran(name)
    if kind == "tfjob":
        least = {f"{name}-chief-0": 1, f"{name}-worker-0": 1, f"{name}-ps-0": 2}
        assert all(counts[pod] >= n for pod, n in least.items()), counts
    else:
        assert len(counts) >= (5 if kind == "job" else RAN), counts


ENDED = ("Succeeded", "Failed", "Error")
KINDS = {
    "job": (JOBS, job, job_is_right),
    "tfjob": (TFJOBS, tfjob, tfjob_is_right),
    "workflow": (WORKFLOWS, workflow, workflow_is_right),
}
