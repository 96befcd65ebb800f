"""Programs of a pod that talk to the API as the pod's account, whose files they look for at paths of their own."""

from __future__ import annotations

import pytest
from kubernetes import client

from clusters import Kube

PROGRAM = """
from kubernetes import client, config
config.load_incluster_config()
space = open("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read()
print([pod.metadata.name for pod in client.CoreV1Api().list_namespaced_pod(space).items])
import labkit.client
print(labkit.client.namespace() == space, labkit.client.get("pod", "p")["metadata"]["name"])
"""


@pytest.fixture
def reader(kube: Kube) -> Kube:
    """A namespace whose account `default` may read pods, with the program in a ConfigMap."""
    rbac = client.RbacAuthorizationV1Api(kube.api)
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
    rbac.create_namespaced_role(kube.namespace, {"metadata": {"name": "reader"}, "rules": [rule]})
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    subject = {"kind": "ServiceAccount", "name": "default"}
    body = {"metadata": {"name": "reader"}, "roleRef": ref, "subjects": [subject]}
    rbac.create_namespaced_role_binding(kube.namespace, body)
    files = {"p.py": PROGRAM, "k.sh": "kubectl get pods -o name"}
    kube.core.create_namespaced_config_map(kube.namespace, {"metadata": {"name": "program"}, "data": files})
    return kube


@pytest.mark.parametrize(
    ("command", "expected"),
    [(["python", "/program/p.py"], "['p']\nTrue p\n"), (["sh", "/program/k.sh"], "pod/p\n")],
    ids=["python", "kubectl"],
)
def test_the_clients_find_the_pods_account(reader: Kube, command: list[str], expected: str) -> None:
    reader.pod(
        "p",
        command,
        "labkit/lab:1",
        automountServiceAccountToken=True,
        volumes=[{"name": "program", "configMap": {"name": "program"}}],
        container={"volumeMounts": [{"name": "program", "mountPath": "/program"}]},
    )
    ended = reader.ended("p", 60)
    assert reader.log("p") == expected
    assert ended["status"]["phase"] == "Succeeded"
