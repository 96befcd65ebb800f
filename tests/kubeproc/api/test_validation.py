from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

POD = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}
JOB = {
    "metadata": {"name": "j"},
    "spec": {
        "tfReplicaSpecs": {"Worker": {"template": {"spec": {"containers": [{"name": "tensorflow", "image": "x"}]}}}}
    },
}


def create(http: httpx.Client, namespace: str, body: Any, mode: str = "", path: str = "/api/v1", plural: str = "pods"):
    params = {"dryRun": "All"} | ({"fieldValidation": mode} if mode else {})
    return http.post(f"{path}/namespaces/{namespace}/{plural}", json=body, params=params)


def with_container(**fields: Any) -> dict[str, Any]:
    container = POD["spec"]["containers"][0]  # type: ignore[index]
    return POD | {"spec": {"containers": [container | fields]}}


def test_an_unknown_field_is_refused_when_strict(http: httpx.Client, namespace: str) -> None:
    body = with_container(imagee="x") | {"foo": 1}
    refused = create(http, namespace, body, "Strict")
    assert refused.status_code == 400
    words = 'strict decoding error: unknown field "spec.containers[0].imagee", unknown field "foo"'
    assert refused.json()["message"] == f'Pod in version "v1" cannot be handled as a Pod: {words}'


def test_an_unknown_field_is_dropped_with_a_warning_by_default(http: httpx.Client, namespace: str) -> None:
    warned = create(http, namespace, with_container(imagee="x"))
    assert warned.status_code == 201
    assert warned.headers["warning"] == '299 - "unknown field \\"spec.containers[0].imagee\\""'
    assert "imagee" not in warned.json()["spec"]["containers"][0]
    assert "warning" not in create(http, namespace, with_container(imagee="x"), "Ignore").headers


def test_a_duplicate_field_is_reported_with_its_path(http: httpx.Client, namespace: str) -> None:
    text = '{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"x","image":"y"}]}}'
    url, headers = f"/api/v1/namespaces/{namespace}/pods", {"Content-Type": "application/json"}
    refused = http.post(url, content=text, headers=headers, params={"fieldValidation": "Strict"})
    assert 'duplicate field "spec.containers[0].image"' in refused.json()["message"]


def test_an_unknown_kind_of_validation_is_refused(http: httpx.Client, namespace: str) -> None:
    assert create(http, namespace, POD, "Maybe").status_code == 422


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (with_container(ports=[{"containerPort": "80"}]),
         "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32"),
        (with_container(command="ls"),
         "json: cannot unmarshal string into Go struct field Container.spec.containers.command of type []string"),
        (with_container(tty="yes"),
         "json: cannot unmarshal string into Go struct field Container.spec.containers.tty of type bool"),
        (with_container(resources={"limits": {"cpu": "much"}}), "quantities must match the regular expression"),
        (POD | {"spec": []}, "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec"),
        (POD | {"metadata": {"name": "p", "labels": {"a": 5}}},
         "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"),
        (POD | {"metadata": {"name": "p", "creationTimestamp": "today"}}, 'parsing time "today" as'),
        (POD | {"spec": {"activeDeadlineSeconds": 1.5}}, "cannot unmarshal number 1.5 into Go struct field PodSpec.spec"),
        (POD | {"spec": {"priority": 2**40}}, "of type int32"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_refused_in_gos_words(http: httpx.Client, namespace: str, body: Any, words: str) -> None:
    refused = create(http, namespace, body)
    assert refused.status_code == 400
    assert words in refused.json()["message"]


def test_nulls_are_absent_fields(http: httpx.Client, namespace: str) -> None:
    body = with_container(env=None, args=None) | {"metadata": {"name": "p", "creationTimestamp": None, "labels": None}}
    made = create(http, namespace, body | {"status": None})
    assert made.status_code == 201
    assert "labels" not in made.json()["metadata"]


def tfjob(http: httpx.Client, namespace: str, body: Any, mode: str = "") -> httpx.Response:
    return create(http, namespace, body, mode, "/apis/kubeflow.org/v1", "tfjobs")


def test_a_tfjobs_unknown_fields_are_pruned(http: httpx.Client, namespace: str) -> None:
    body = JOB | {"spec": JOB["spec"] | {"nonsense": 1}}
    made = tfjob(http, namespace, body)
    assert made.status_code == 201, made.text
    assert "nonsense" not in made.json()["spec"]
    refused = tfjob(http, namespace, body, "Strict")
    assert (refused.status_code, 'unknown field "spec.nonsense"' in refused.text.replace("\\", "")) == (400, True)


def test_a_tfjobs_wrong_type_is_reported_by_its_schema(http: httpx.Client, namespace: str) -> None:
    refused = tfjob(http, namespace, JOB | {"spec": JOB["spec"] | {"runPolicy": {"backoffLimit": "three"}}})
    assert refused.status_code == 422
    words = (
        'TFJob.kubeflow.org "j" is invalid: spec.runPolicy.backoffLimit: Invalid value: "string": '
        'spec.runPolicy.backoffLimit in body must be of type integer: "string"'
    )
    assert refused.json()["message"] == words
    missing = tfjob(http, namespace, {"metadata": {"name": "j"}, "spec": {}})
    assert missing.json()["message"] == 'TFJob.kubeflow.org "j" is invalid: spec.tfReplicaSpecs: Required value'


def test_a_workflows_spec_is_kept_as_it_is(http: httpx.Client, namespace: str) -> None:
    spec = {"whatever": [1, None, {"x": {}}], "empty": {}}
    made = create(
        http, namespace, {"metadata": {"name": "w"}, "spec": spec}, "Strict", "/apis/argoproj.io/v1alpha1", "workflows"
    )
    assert made.status_code == 201
    assert made.json()["spec"] == spec


def test_every_kind_has_a_schema(http: httpx.Client) -> None:
    from kubeproc.api.schema import schemas
    from kubeproc.resources import RESOURCES

    for resource in RESOURCES.values():
        schema = schemas.of(resource)
        assert {"apiVersion", "kind", "metadata"} <= set(schema)


def test_what_go_always_writes_is_there(http: httpx.Client, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}"
    pod = {
        "metadata": {"name": "p"},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "busybox"}]},
    }
    assert http.post(f"{url}/pods", json=pod).status_code == 201
    merge = {"Content-Type": "application/merge-patch+json"}
    patch = json.dumps({"status": {"conditions": [{"reason": "R"}]}})
    told = http.patch(f"{url}/pods/p/status", content=patch, headers=merge).json()
    assert told["status"]["conditions"] == [{"reason": "R", "status": "", "type": ""}]
    secret = http.post(f"{url}/secrets", content='{"metadata": {"name": "s"}, "data": {"a": null}}').json()
    assert secret["data"] == {"a": ""}
