"""Pods: what is filled in, what is wrong and in which words, what may change, what only a real cluster does."""

from __future__ import annotations

import os
from typing import Any

import pytest

from kubeproc.resources import PODS, SERVICEACCOUNTS
from kubeproc.store import Store

from .conftest import Refused, pod

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"


def test_defaults_are_the_api_servers(store: Store) -> None:
    made = store.create(
        PODS, pod(container_livenessProbe={"httpGet": {"port": 80}}, container_ports=[{"containerPort": 80}])
    )
    spec = made["spec"]
    assert spec["restartPolicy"] == "Always"
    assert spec["dnsPolicy"] == "ClusterFirst"
    assert spec["terminationGracePeriodSeconds"] == 30
    assert spec["schedulerName"] == "default-scheduler"
    assert spec["securityContext"] == {}
    assert spec["enableServiceLinks"] is True
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")
    assert {(t["key"], t["tolerationSeconds"]) for t in spec["tolerations"]} == {
        ("node.kubernetes.io/not-ready", 300), ("node.kubernetes.io/unreachable", 300)}  # fmt: skip
    container = spec["containers"][0]
    assert container["terminationMessagePath"] == "/dev/termination-log"
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["livenessProbe"] == {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1,
                                          "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}  # fmt: skip
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


@pytest.mark.parametrize(("image", "policy"), [
    ("busybox", "Always"), ("busybox:latest", "Always"), ("busybox:1", "IfNotPresent"), ("host:5000/a", "Always"),
    ("a@sha256:0", "IfNotPresent")])  # fmt: skip
def test_the_pull_policy_follows_the_tag(store: Store, image: str, policy: str) -> None:
    assert store.create(PODS, pod(image=image))["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_every_container_port_gets_a_host_port_of_its_own(store: Store) -> None:
    ports = [{"containerPort": 80, "name": "http"}, {"containerPort": 81, "hostPort": 30001}]
    spec = store.create(PODS, pod(container_ports=ports))["spec"]
    first, second = spec["containers"][0]["ports"]
    assert 20000 <= first["hostPort"] < 65536
    assert second["hostPort"] == 30001
    assert first["protocol"] == "TCP"


def test_a_manifest_that_is_applied_again_keeps_what_the_server_set(store: Store) -> None:
    made = store.create(PODS, pod(container_ports=[{"containerPort": 80}]))
    again = store.update(PODS, pod(container_ports=[{"containerPort": 80}]))
    assert again["spec"] == made["spec"]


def test_the_service_account_s_token_is_mounted_unless_declined(store: Store) -> None:
    spec = store.create(PODS, pod())["spec"]
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert [next(iter(s)) for s in volume["projected"]["sources"]] == [
        "serviceAccountToken",
        "configMap",
        "downwardAPI",
    ]
    assert spec["containers"][0]["volumeMounts"] == [{"name": volume["name"], "readOnly": True, "mountPath": TOKEN}]
    assert "volumes" not in store.create(PODS, pod("b", automountServiceAccountToken=False))["spec"]
    store.create(SERVICEACCOUNTS, {"metadata": {"name": "shy"}, "automountServiceAccountToken": False})
    assert "volumes" not in store.create(PODS, pod("c", serviceAccountName="shy"))["spec"]


def test_an_unknown_service_account_is_forbidden(refused: Refused) -> None:
    error = refused(PODS, pod(serviceAccountName="nobody"))
    assert (error.code, error.message) == (403, 'pods "a" is forbidden: error looking up service account default/nobody: '
                                           'serviceaccount "nobody" not found')  # fmt: skip


@pytest.mark.parametrize(("limits", "requests", "quality"), [
    ({}, {}, "BestEffort"), ({"cpu": "1"}, {}, "Burstable"), ({"cpu": "1", "memory": "1Gi"}, {}, "Guaranteed"),
    ({"cpu": "1", "memory": "1Gi"}, {"cpu": "500m"}, "Burstable")])  # fmt: skip
def test_quality_of_service(store: Store, limits: dict[str, str], requests: dict[str, str], quality: str) -> None:
    made = store.create(PODS, pod(container_resources={"limits": limits, "requests": requests}))
    assert made["status"]["qosClass"] == quality


LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


@pytest.mark.parametrize(("change", "words"), [
    ({"container_name": "A"}, f'spec.containers[0].name: Invalid value: "A": {LABEL}'),
    ({"container_image": ""}, "spec.containers[0].image: Required value"),
    ({"restartPolicy": "Sometimes"},
     'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'),
    ({"container_ports": [{"containerPort": 70000}]},
     "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"),
    ({"container_ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]},
     'spec.containers[0].ports[1].name: Duplicate value: "a"'),
    ({"container_volumeMounts": [{"name": "x", "mountPath": "/x"}]}, 'spec.containers[0].volumeMounts[0].name: Not found: "x"'),
    ({"container_resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}},
     'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'),
    ({"container_resources": {"limits": {"gpu": "1"}, "requests": {"gpu": "1"}}}, "must be a standard resource for containers"),
    ({"container_livenessProbe": {"periodSeconds": 1}},
     "spec.containers[0].livenessProbe: Required value: must specify a handler type"),
    ({"container_env": [{"name": "A", "valueFrom": {}}]},
     'spec.containers[0].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, '
     "`configMapKeyRef` or `secretKeyRef`"),
    ({"activeDeadlineSeconds": 0}, "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"),
    ({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]}, 'spec.volumes[1].name: Duplicate value: "a"'),
    ({"containers": []}, "spec.containers: Required value"),
    ({"volumes": [{"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "/etc/x"}]}}]},
     'spec.volumes[0].configMap.items[0].path: Invalid value: "/etc/x": must be a relative path'),
    ({"volumes": [{"name": "v", "projected": {"sources": [
        {"configMap": {"name": "c", "items": [{"key": "k", "path": "../../../x"}]}}]}}]},
     "spec.volumes[0].projected.sources[0].configMap.items[0].path: Invalid value: \"../../../x\": must not contain '..'"),
    ({"volumes": [{"name": "v", "downwardAPI": {"items": [{"path": "/x", "fieldRef": {"fieldPath": "metadata.name"}}]}}]},
     'spec.volumes[0].downwardAPI.items[0].path: Invalid value: "/x": must be a relative path'),
    ({"volumes": [{"name": "v", "downwardAPI": {"items": [{"path": "x"}]}}]},
     "spec.volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required"),
    ({"volumes": [{"name": "v", "downwardAPI": {"items": [{"path": "x", "resourceFieldRef": {"resource": "limits.cpu"}}]}}]},
     "spec.volumes[0].downwardAPI.resourceFieldRef.containerName: Required value"),
    ({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "a/../../x"}}]}}]},
     "projected.sources[0].serviceAccountToken.path: Invalid value: \"a/../../x\": must not contain '..'"),
    ({"volumes": [{"name": "v", "secret": {"secretName": "s", "items": [{"key": "k", "path": "..data"}]}}]},
     "spec.volumes[0].secret.items[0].path: Invalid value: \"..data\": must not start with '..'"),
])  # fmt: skip
def test_what_is_wrong_is_said_in_upstreams_words(refused: Refused, change: dict[str, Any], words: str) -> None:
    body = pod()
    for key, value in change.items():
        target = body["spec"]["containers"][0] if key.startswith("container_") else body["spec"]
        target[key.removeprefix("container_")] = value
    error = refused(PODS, body)
    assert error.code == 422
    assert error.message.startswith('Pod "a" is invalid: ')
    assert words in error.message


def test_several_causes_come_together(refused: Refused) -> None:
    error = refused(PODS, pod(image="", restartPolicy="x"))
    assert error.message.startswith(
        'Pod "a" is invalid: [spec.containers[0].image: Required value, spec.restartPolicy: '
    )
    assert [c["reason"] for c in error.details["causes"]] == ["FieldValueRequired", "FieldValueNotSupported"]


def test_a_bad_quantity_can_t_be_handled(refused: Refused) -> None:
    error = refused(PODS, pod(container_resources={"limits": {"cpu": "much"}}))
    assert error.code == 400
    assert error.message.startswith('Pod in version "v1" cannot be handled as a Pod: quantities must match')


@pytest.mark.parametrize(("change", "path"), [
    ({"volumes": [{"name": "h", "hostPath": {"path": "/"}}]}, "spec.volumes[0].hostPath"),
    ({"volumes": [{"name": "h", "nfs": {"server": "a", "path": "/"}}]}, "spec.volumes[0].nfs"),
    ({"hostPID": True}, "spec.hostPID"),
    ({"securityContext": {"runAsUser": os.getuid() + 1}}, "spec.securityContext.runAsUser"),
    ({"container_securityContext": {"privileged": True}}, "spec.containers[0].securityContext.privileged"),
    ({"container_securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}},
     "spec.containers[0].securityContext.capabilities.add"),
    ({"runtimeClassName": "gvisor"}, "spec.runtimeClassName"),
])  # fmt: skip
def test_what_the_embedded_cluster_can_t_do_is_refused_by_path(
    refused: Refused, change: dict[str, Any], path: str
) -> None:
    error = refused(PODS, pod(**change))
    assert error.code == 422
    assert f'" is invalid: {path}: not supported by the embedded cluster' in error.message
    assert "labkit up --engine kind" in error.message


def test_harmless_restrictions_are_accepted(store: Store) -> None:
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "privileged": False,
               "runAsUser": os.getuid(), "seccompProfile": {"type": "RuntimeDefault"}}  # fmt: skip
    assert store.create(PODS, pod(container_securityContext=context, hostNetwork=False))


def test_a_pod_s_image_may_change_and_its_command_not(store: Store, refused: Refused) -> None:
    made = store.create(PODS, pod())
    made["spec"]["containers"][0]["image"] = "busybox:2"
    made = store.update(PODS, made)
    made["spec"]["containers"][0]["command"] = ["x"]
    error = refused(PODS, made)
    assert "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`" in error.message
    made = store.get(PODS, "default", "a")
    made["spec"]["containers"].append({"name": "b", "image": "b"})
    assert "spec.containers: Forbidden: pod updates may not add or remove containers" in refused(PODS, made).message


def test_a_sidecar_may_have_probes_and_an_init_container_not(store: Store, refused: Refused) -> None:
    probe = {"readinessProbe": {"tcpSocket": {"port": 1}}}
    assert store.create(PODS, pod(initContainers=[{"name": "i", "image": "i", "restartPolicy": "Always", **probe}]))
    error = refused(PODS, pod("b", initContainers=[{"name": "i", "image": "i", **probe}]))
    assert "spec.initContainers[0].readinessProbe: Forbidden" in error.message


def test_a_priority_class_must_exist(refused: Refused) -> None:
    assert refused(PODS, pod(priorityClassName="high")).message == (
        'pods "a" is forbidden: no PriorityClass with name high was found')  # fmt: skip
