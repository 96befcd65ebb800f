"""Odd objects that the API takes meet live controllers, the scheduler and the kubelet: nothing fails, nothing spins."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kubectl_client import Kubectl, deployment, pod, tfjob, workflow

from kubeproc import credentials
from kubeproc.folder import ClusterFolder
from kubeproc.resources import (
    CLAIMS,
    CONFIGMAPS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    EVENTS,
    JOBS,
    LEASES,
    PODS,
    ROLEBINDINGS,
    ROLES,
    SECRETS,
    SERVICEACCOUNTS,
    SERVICES,
    TFJOBS,
    WORKFLOWS,
    WORKFLOWTEMPLATES,
    Resource,
)

SECONDS = 30
ACCESS = Path(__file__).parents[3] / "workflows" / "access.yaml"
EXAMPLES = int(os.environ.get("LABKIT_FUZZ", "80"))
MERGE = {"Content-Type": "application/merge-patch+json"}

TRUE = {"name": "main", "image": "busybox", "command": ["true"]}
MOUNT = {"name": "v", "mountPath": "/v", "subPath": "", "readOnly": True}
RICH = {  # a pod's spec in which much can be odd
    "containers": [
        TRUE | {"env": [{"name": "A", "value": "b"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}],
                "envFrom": [{"configMapRef": {"name": "kube-root-ca.crt", "optional": True}}], "ports": [{"containerPort": 80}],
                "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "1m"}}, "volumeMounts": [MOUNT],
                "readinessProbe": {"tcpSocket": {"port": 80}}, "workingDir": "/tmp",
                "lifecycle": {"preStop": {"exec": {"command": ["true"]}}}, "terminationMessagePath": "/tmp/m"}
    ],
    "initContainers": [TRUE | {"name": "first"}],
    "volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt", "items": [
        {"key": "ca.crt", "path": "a/b"}]}}, {"downwardAPI": {"items": [
            {"path": "c", "fieldRef": {"fieldPath": "metadata.name"}}]}}]}}],
    "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "activeDeadlineSeconds": 20, "nodeSelector": {},
    "tolerations": [{"key": "a", "operator": "Exists", "tolerationSeconds": 3}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}}]}},
}  # fmt: skip
STEPS: dict[str, Any] = {
    "entrypoint": "main", "arguments": {"parameters": [{"name": "p", "value": "1"}]}, "onExit": "leaf", "parallelism": 2,
    "activeDeadlineSeconds": 20, "ttlStrategy": {"secondsAfterCompletion": 60}, "podGC": {"strategy": "OnPodSuccess"},
    "templates": [
        {"name": "main", "steps": [[{"name": "a", "template": "leaf", "when": "1 == 1", "withItems": [1, {"a": 2}]}],
                                   [{"name": "b", "template": "dag", "arguments": {"parameters": [
                                       {"name": "x", "value": "{{steps.a.outputs.result}}"}]}}]]},
        {"name": "dag", "inputs": {"parameters": [{"name": "x", "default": "1"}]}, "dag": {"tasks": [
            {"name": "c", "template": "leaf"}, {"name": "d", "template": "leaf", "depends": "c.Succeeded"}]}},
        {"name": "leaf", "container": TRUE | {"name": ""}, "retryStrategy": {"limit": 1, "backoff": {"duration": "1s"}},
         "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/tmp/o", "default": "x"}}]}},
    ],
}  # fmt: skip
SPEC: dict[Resource, dict[str, Any]] = {
    CLAIMS: {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}},
    CONFIGMAPS: {"data": {"a": "b"}, "binaryData": {"c": "aGk="}, "immutable": False},
    DEPLOYMENTS: {"spec": deployment(command=["true"])["spec"]
                  | {"progressDeadlineSeconds": 20, "strategy": {"rollingUpdate": {"maxSurge": 1}}, "minReadySeconds": 0}},
    ENDPOINTSLICES: {"addressType": "IPv4", "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
                     "ports": [{"name": "", "port": 80}]},
    EVENTS: {"involvedObject": {"kind": "Pod", "name": "p"}, "reason": "R", "count": 1, "type": "Normal",
             "lastTimestamp": "2026-01-01T00:00:00Z"},
    JOBS: {"spec": {"template": {"spec": RICH}, "completions": 2, "parallelism": 2, "backoffLimit": 0,
                    "ttlSecondsAfterFinished": 60, "activeDeadlineSeconds": 20}},
    LEASES: {"spec": {"holderIdentity": "me", "leaseDurationSeconds": 1, "renewTime": "2026-01-01T00:00:00.000000Z"}},
    PODS: {"spec": RICH},
    ROLES: {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"]}]},
    ROLEBINDINGS: {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
                   "subjects": [{"kind": "ServiceAccount", "name": "default"}]},
    SECRETS: {"data": {"a": "aGk="}, "stringData": {"b": "c"}, "type": "Opaque"},
    SERVICEACCOUNTS: {"secrets": [{"name": "a"}], "automountServiceAccountToken": True},
    SERVICES: {"spec": {"ports": [{"name": "http", "port": 80, "targetPort": "web"}], "selector": {"app": "x"}}},
    TFJOBS: {"spec": tfjob("x")["spec"] | {"runPolicy": {"cleanPodPolicy": "All", "backoffLimit": 1,
             "activeDeadlineSeconds": 20, "ttlSecondsAfterFinished": 60}, "successPolicy": "AllWorkers"}},
    WORKFLOWS: {"spec": STEPS},
    WORKFLOWTEMPLATES: {"spec": STEPS},
}  # fmt: skip

TEXTS = ["", "0", "-1", "1e3", "1s", "{{x}}", "{{=", "{{item}}", "../..", "a/b", "/", "*", "a b", "A", "x" * 300, "\u00e9",
         "\0", "main", "kubernetes", "[", "$(A)", "99999999999999999999"]  # fmt: skip
NUMBERS = [0, 1, -1, 7, 2**31 - 1, 2**31, 2**63 - 1, 65535, 0.5, 1e300]
FEW = [0, 1, 2, -1, 0.5, -(2**31)]  # of what is made that often
OTHERS: list[Any] = [None, True, 1, "", "1", [], {}, [{}], [None], {"": ""}]


def odd(field: Any, value: Any, dice: random.Random) -> Any:
    """Another value of the field, mostly of the same type."""
    if dice.random() < 0.2:
        return dice.choice(OTHERS)
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return dice.choice(FEW if field in ("replicas", "parallelism", "completions") else NUMBERS)
    if isinstance(value, list):
        return dice.choice([[], [*value, *value], value[:1]])
    if isinstance(value, dict):
        gone = dice.choice([*value, ""])
        return {k: v for k, v in value.items() if k != gone}
    return dice.choice(TEXTS)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in an object."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


@pytest.fixture(scope="module")
def api(folder: ClusterFolder) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=str(folder.ca))
    headers = {"Authorization": f"Bearer {credentials.token(folder)}"}
    port = re.search(r"https://127\.0\.0\.1:(\d+)", folder.kubeconfig.read_text())
    assert port
    with httpx.Client(base_url=port[0], verify=context, headers=headers, timeout=SECONDS, trust_env=False) as client:
        yield client


def change_one(obj: Any, dice: random.Random) -> Any:
    """Make one value of the object odd; the merge patch that does the same, as far as the next list."""
    *way, last = dice.choice([place for place in places(obj) if place[0] != "metadata"])
    here = obj
    for step in way:
        here = here[step]
    here[last] = odd(last, here[last], dice)
    patch, fields = obj, []
    for step in itertools.takewhile(lambda s: isinstance(s, str), [*way, last]):
        patch = patch[step]
        fields.append(step)
    for step in reversed(fields):
        patch = {step: patch}
    return patch


def answered(answer: httpx.Response) -> bool:
    """The answer is one of Kubernetes' own; whether the request was taken."""
    # 507: the machine has not that many free ports.
    assert answer.status_code < 500 or answer.status_code == 507, answer.text
    return answer.is_success


def quiet(api: httpx.Client) -> None:
    """Return once nothing has been written for a second; a controller that spins writes for ever."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        listed = api.get("/api/v1/pods", params={"limit": "1"}).json()
        query = {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"], "timeoutSeconds": "1"}
        changes = [
            line
            for path in (
                "/api/v1/pods",
                "/apis/apps/v1/deployments",
                "/apis/batch/v1/jobs",
                TFJOBS.path(),
                WORKFLOWS.path(),
            )
            for line in api.get(path, params=query).text.splitlines()
        ]
        if not changes:
            return
    raise AssertionError(f"objects still change after {SECONDS} s, the last so: {changes[-1]}")


def crashes(log: str) -> list[str]:
    """The tracebacks in a log, but of what ends well: what the API refuses a controller, which tries again as upstream's
    do, and what is so little of a workflow that it has failed with that error."""
    entries = re.findall(r"^\d{4}-\d\d-\d\d .*?(?=^\d{4}-\d\d-\d\d |\Z)", log, re.S | re.M)
    ends = {text: text.strip().rpartition("\n")[2] for text in entries if "Traceback" in text}
    mended = ("kubeproc.api_errors.ApiError",)
    return [
        t for t, end in ends.items() if not end.startswith(mended) and " kubeproc.argo.workflow.controller:" not in t
    ]


def meet(api: httpx.Client, namespace: str, dice: random.Random) -> bool:
    """Make an odd object and change it in an odd way; whether it was taken."""
    resource = dice.choice(list(SPEC))
    body = json.loads(json.dumps({"metadata": {"generateName": "odd-"}} | SPEC[resource]))
    change = change_one(body, dice)
    made = api.post(resource.path(namespace), content=json.dumps(body))
    if not answered(made):
        return False
    url = resource.path(namespace, made.json()["metadata"]["name"])
    if resource is not WORKFLOWS and dice.random() < 0.5 and (status := api.get(url).json().get("status")):
        change = change_one({"status": status}, dice)
    for address in (url, f"{url}/status"):
        answered(api.patch(address, content=json.dumps(change), headers=MERGE))
    return True


def test_odd_objects_break_nothing(kubectl: Kubectl, api: httpx.Client, folder: ClusterFolder) -> None:
    seed = int(os.environ.get("LABKIT_SEED", "1"))
    print(f"seed {seed}")
    dice = random.Random(seed)
    kubectl("apply", "-f", str(ACCESS))
    assert sum(meet(api, kubectl.namespace, dice) for _ in range(EXAMPLES)) > EXAMPLES / 10
    kubectl.apply(pod("sound", "true"), workflow("well"))
    kubectl("wait", "pod/sound", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=20s")
    kubectl("wait", "workflow/well", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=20s")
    quiet(api)
    assert not [text for log in folder.log.glob("*.log") for text in crashes(log.read_text(errors="replace"))]
