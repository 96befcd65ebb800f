"""Services, ConfigMaps, Secrets, claims, Deployments, Jobs, namespaces: defaults, refusals and what may not change."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeproc import ports
from kubeproc.admission import admit
from kubeproc.api_errors import ApiError
from kubeproc.resources import (
    CLAIMS,
    CONFIGMAPS,
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    PODS,
    SECRETS,
    SERVICES,
    TFJOBS,
)
from kubeproc.store import Store

from .conftest import Refused, pod, template


def service(name: str = "s", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"ports": [{"port": 80}], **spec}}


def deployment(**spec: Any) -> dict[str, Any]:
    base = {"selector": {"matchLabels": {"app": "web"}}, "template": template()}
    return {"metadata": {"name": "web"}, "spec": base | spec}


def job(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "j"}, "spec": {"template": template(restartPolicy="Never"), **spec}}


def test_a_namespace_is_labelled_and_held(store: Store) -> None:
    made = store.create(NAMESPACES, {"metadata": {"name": "team"}})
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "team"}
    assert (made["spec"], made["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})
    assert store.delete(NAMESPACES, "", "team")["metadata"]["deletionTimestamp"]
    assert store.find(NAMESPACES, "", "team")


def test_the_cluster_s_own_namespaces_stay(store: Store) -> None:
    with pytest.raises(ApiError, match='namespaces "default" is forbidden: this namespace may not be deleted'):
        store.delete(NAMESPACES, "", "default")


def test_names_and_labels_are_checked_for_every_kind(refused: Refused) -> None:
    error = refused(CONFIGMAPS, {"metadata": {"name": "Bad_Name", "labels": {"a b": "c", "d": "e f"}}})
    assert error.code == 422
    assert 'metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of' in error.message
    assert 'metadata.labels: Invalid value: "a b": name part must consist of' in error.message
    assert 'metadata.labels: Invalid value: "e f": a valid label must be an empty string or consist of' in error.message
    assert "a DNS-1035 label" in refused(SERVICES, service("1st")).message


def test_a_service_gets_an_address_and_a_host_port_that_stays(store: Store) -> None:
    made = store.create(SERVICES, service())
    assert made["spec"]["clusterIP"] == "127.0.0.1"
    assert made["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert (made["spec"]["type"], made["spec"]["sessionAffinity"]) == ("ClusterIP", "None")
    held = ports.recorded(made)
    again = store.update(SERVICES, service(ports=[{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]))
    assert ports.recorded(again)["80"] == held["80"]
    assert set(ports.recorded(again)) == {"80", "81"}


@pytest.mark.parametrize(("spec", "words"), [
    ({"ports": []}, "spec.ports: Required value"),
    ({"ports": [{"port": 0}]}, "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
    ({"ports": [{"port": 1}, {"port": 2, "name": "b"}]}, "spec.ports[0].name: Required value"),
    ({"ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]}, 'spec.ports[1].name: Duplicate value: "a"'),
    ({"clusterIP": "10.0.0.1"}, "failed to allocate IP 10.0.0.1"),
    ({"type": "Odd"}, 'spec.type: Unsupported value: "Odd"'),
    ({"type": "LoadBalancer"}, "spec.type: not supported by the embedded cluster"),
    ({"type": "ExternalName", "externalName": "a.b"}, "spec.type: not supported by the embedded cluster"),
])  # fmt: skip
def test_services_are_refused(refused: Refused, spec: dict[str, Any], words: str) -> None:
    assert words in refused(SERVICES, service(**spec)).message


def test_a_node_port_is_honoured_and_given_once(store: Store, refused: Refused) -> None:
    wanted = ports.allocate(store, 1)[0]
    made = store.create(SERVICES, service(type="NodePort", ports=[{"port": 80, "nodePort": wanted}]))
    assert ports.recorded(made) == {"80": wanted}
    assert store.update(SERVICES, made)["spec"]["ports"][0]["nodePort"] == wanted
    error = refused(SERVICES, service("t", type="NodePort", ports=[{"port": 80, "nodePort": wanted}]))
    assert f"spec.ports[0].nodePort: Invalid value: {wanted}: provided port is already allocated" in error.message


def test_a_service_s_address_can_t_change(store: Store, refused: Refused) -> None:
    store.create(SERVICES, service())
    changed = store.get(SERVICES, "default", "s")
    changed["spec"]["clusterIP"] = "None"
    assert "may not change once set" in refused(SERVICES, changed).message


def test_an_immutable_config_map_stays_as_it_is(store: Store, refused: Refused) -> None:
    made = store.create(CONFIGMAPS, {"metadata": {"name": "c"}, "data": {"a": "1"}, "immutable": True})
    assert refused(CONFIGMAPS, made | {"data": {"a": "2"}}).message == (
        'ConfigMap "c" is invalid: data: Forbidden: field is immutable when `immutable` is set')  # fmt: skip


def test_keys_and_sizes_of_config_maps(refused: Refused) -> None:
    assert (
        "a valid config key must consist of"
        in refused(CONFIGMAPS, {"metadata": {"name": "c"}, "data": {"a/b": ""}}).message
    )
    big = refused(CONFIGMAPS, {"metadata": {"name": "c"}, "data": {"a": "x" * (1024 * 1024 + 1)}})
    assert big.message.endswith("is invalid: []: Too long: may not be more than 1048576 bytes")


def test_a_secret_s_strings_are_encoded(store: Store, refused: Refused) -> None:
    made = store.create(SECRETS, {"metadata": {"name": "s"}, "stringData": {"a": "é"}})
    assert made["data"] == {"a": base64.b64encode("é".encode()).decode()}
    assert made["type"] == "Opaque"
    assert "stringData" not in made
    assert (
        "type: Invalid value"
        in refused(SECRETS, made | {"type": "kubernetes.io/tls", "data": {"tls.crt": "", "tls.key": ""}}).message
    )
    assert refused(SECRETS, {"metadata": {"name": "t"}, "data": {"a": "?"}}).code == 400


def claim(**spec: Any) -> dict[str, Any]:
    base = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}
    return {"metadata": {"name": "data"}, "spec": {**base, **spec}}


def test_claims(store: Store, refused: Refused) -> None:
    made = store.create(CLAIMS, claim())
    assert made["spec"]["resources"]["requests"] == {"storage": "1Gi"}
    assert (made["spec"]["volumeMode"], made["spec"]["storageClassName"]) == ("Filesystem", "standard")
    assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    made["spec"]["resources"] = {"requests": {"storage": "2Gi"}}
    made = store.update(CLAIMS, made)
    made["spec"]["resources"] = {"requests": {"storage": "1Gi"}}
    assert "field can not be less than status.capacity" in refused(CLAIMS, made).message
    other = store.get(CLAIMS, "default", "data")
    other["spec"]["accessModes"] = ["ReadOnlyMany"]
    assert "spec is immutable after creation" in refused(CLAIMS, other).message


@pytest.mark.parametrize(("spec", "words"), [
    ({"accessModes": []}, "spec.accessModes: Required value: at least 1 access mode is required"),
    ({"resources": {}}, "spec.resources[storage]: Required value"),
    ({"volumeMode": "Block"}, "spec.volumeMode: not supported by the embedded cluster"),
])  # fmt: skip
def test_claims_are_refused(refused: Refused, spec: dict[str, Any], words: str) -> None:
    assert words in refused(CLAIMS, claim(**spec)).message


def test_a_deployment_s_defaults(store: Store) -> None:
    spec = store.create(DEPLOYMENTS, deployment())["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    assert (spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (1, 10, 600)
    assert "serviceAccountName" not in spec["template"]["spec"]


@pytest.mark.parametrize(("spec", "words"), [
    ({"selector": None}, "spec.selector: Required value"),
    ({"selector": {}}, "spec.selector: Invalid value: {}: empty selector is invalid for deployment"),
    ({"selector": {"matchLabels": {"app": "x"}}},
     'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'),
    ({"replicas": -1}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
    ({"template": template(restartPolicy="Never")},
     'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'),
    ({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
     "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"),
    ({"strategy": {"type": "Recreate", "rollingUpdate": {}}}, "may not be specified when strategy `type` is 'Recreate'"),
    ({"template": template(volumes=[{"name": "h", "hostPath": {"path": "/"}}])}, "volumes[0].hostPath: not supported"),
])  # fmt: skip
def test_deployments_are_refused(refused: Refused, spec: dict[str, Any], words: str) -> None:
    assert words in refused(DEPLOYMENTS, deployment(**spec)).message


def test_a_deployment_s_selector_can_t_change(store: Store, refused: Refused) -> None:
    made = store.create(DEPLOYMENTS, deployment())
    made["spec"]["selector"] = {"matchLabels": {"app": "x"}}
    made["spec"]["template"]["metadata"]["labels"] = {"app": "x"}
    error = refused(DEPLOYMENTS, made)
    assert error.message == (
        'Deployment.apps "web" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"x"}}: '
        "field is immutable")  # fmt: skip


def test_a_job_gets_its_selector_and_labels(store: Store) -> None:
    made = store.create(JOBS, job())
    uid = made["metadata"]["uid"]
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    assert made["spec"]["template"]["metadata"]["labels"] == {
        "app": "web", "batch.kubernetes.io/controller-uid": uid, "controller-uid": uid,
        "batch.kubernetes.io/job-name": "j", "job-name": "j"}  # fmt: skip
    spec = made["spec"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (1, 1, 6)
    assert (spec["completionMode"], spec["suspend"]) == ("NonIndexed", False)


@pytest.mark.parametrize(("spec", "words"), [
    ({"template": template()},
     'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'),
    ({"completions": -1}, "spec.completions: Invalid value: -1: must be greater than or equal to 0"),
    ({"completionMode": "Indexed"}, "spec.completions: Required value: when completion mode is Indexed"),
    ({"selector": {"matchLabels": {"a": "b"}}}, "`selector` not auto-generated"),
    ({"podFailurePolicy": {"rules": []}}, "spec.podFailurePolicy: not supported by the embedded cluster"),
])  # fmt: skip
def test_jobs_are_refused(refused: Refused, spec: dict[str, Any], words: str) -> None:
    body = job(**({"parallelism": 1} | spec))
    assert words in refused(JOBS, body).message


def test_a_job_s_template_and_completions_can_t_change(store: Store, refused: Refused) -> None:
    store.create(JOBS, job())
    changed = store.get(JOBS, "default", "j")
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    changed["spec"]["completions"] = 2
    error = refused(JOBS, changed)
    assert "spec.completions: Invalid value: 2: field is immutable" in error.message
    assert error.message.endswith("field is immutable]")
    changed = store.get(JOBS, "default", "j")
    changed["spec"]["parallelism"] = 3
    assert store.update(JOBS, changed)["spec"]["parallelism"] == 3


def test_a_status_in_a_new_object_is_dropped(store: Store) -> None:
    made = store.create(JOBS, job() | {"status": {"succeeded": 7}})
    assert made["status"] == {}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["pod", "service", "tfjob", "delete"]), st.integers(0, 4)), max_size=25))
def test_no_two_holders_ever_have_the_same_port(steps: list[tuple[str, int]]) -> None:
    store = Store(None, admit=admit)
    store.create(NAMESPACES, {"metadata": {"name": "default"}})
    for number, (kind, count) in enumerate(steps):
        name = f"x{number}"
        if kind == "pod":
            store.create(PODS, pod(name, container_ports=[{"containerPort": 80 + i} for i in range(count)]))
        elif kind == "service":
            store.create(SERVICES, service(name, ports=[{"port": i + 1, "name": f"p{i}"} for i in range(count + 1)]))
        elif kind == "tfjob":
            replica = {"replicas": count, "template": {"spec": {"containers": [{"name": "tensorflow", "image": "a"}]}}}
            store.create(TFJOBS, {"metadata": {"name": name}, "spec": {"tfReplicaSpecs": {"Worker": replica}}})
        elif found := store.list(SERVICES):
            store.delete(SERVICES, "default", found[0]["metadata"]["name"])
        held = [p for r in ports.HOLDERS for o in store.list(r) for p in ports.held(r, o)]
        assert len(held) == len(set(held))


def test_a_tfjob_s_ports_are_kept_when_it_grows(store: Store) -> None:
    replica = {"replicas": 2, "template": {"spec": {"containers": [{"name": "tensorflow", "image": "a"}]}}}
    made = store.create(TFJOBS, {"metadata": {"name": "t"}, "spec": {"tfReplicaSpecs": {"worker": replica}}})
    before = ports.recorded(made)
    assert set(before) == {"worker-0", "worker-1"}
    made["spec"]["tfReplicaSpecs"]["worker"]["replicas"] = 3
    made["metadata"]["annotations"] = {}  # a client that writes the whole object does not know of ours
    after = json.loads(store.update(TFJOBS, made)["metadata"]["annotations"][ports.ANNOTATION])
    assert after.items() > before.items()
