from __future__ import annotations

from typing import Any

import httpx
import pytest

POD = {
    "metadata": {"name": "p"},
    "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "busybox"}]},
}
MERGE = {"Content-Type": "application/merge-patch+json"}


def deployment(http: httpx.Client, namespace: str) -> str:
    url = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}
    spec = {"replicas": 0, "paused": True, "selector": {"matchLabels": {"app": "x"}}, "template": template}
    assert http.post(url, json={"metadata": {"name": "d"}, "spec": spec}).status_code == 201
    return url + "/d"


def test_a_deployment_is_scaled_through_its_scale(http: httpx.Client, namespace: str) -> None:
    url = deployment(http, namespace)
    scale = http.get(url + "/scale").json()
    assert (scale["kind"], scale["apiVersion"], scale["spec"]) == ("Scale", "autoscaling/v1", {})
    assert scale["status"]["selector"] == "app=x"
    del scale["metadata"]["resourceVersion"]  # its controller writes as well
    assert http.put(url + "/scale", json=scale | {"spec": {"replicas": 3}}).json()["spec"] == {"replicas": 3}
    assert http.patch(url + "/scale", json={"spec": {"replicas": 2}}, headers=MERGE).status_code == 200
    assert http.get(url).json()["spec"]["replicas"] == 2


def test_a_tfjobs_workers_are_scaled(http: httpx.Client, namespace: str) -> None:
    url = f"/apis/kubeflow.org/v1/namespaces/{namespace}/tfjobs"
    template = {"spec": {"containers": [{"name": "tensorflow", "image": "labkit/lab:1"}]}}
    spec = {"runPolicy": {"suspend": True}, "tfReplicaSpecs": {"Worker": {"replicas": 1, "template": template}}}
    assert http.post(url, json={"metadata": {"name": "j"}, "spec": spec}).status_code == 201
    scaled = http.patch(f"{url}/j/scale", json={"spec": {"replicas": 2}}, headers=MERGE)
    assert scaled.json()["spec"] == {"replicas": 2}, scaled.text
    assert http.get(f"{url}/j").json()["spec"]["tfReplicaSpecs"]["Worker"]["replicas"] == 2


@pytest.mark.parametrize(
    ("scale", "code"),
    [
        ({"spec": {"replicas": -1}}, 422),
        ({"spec": {"replicas": "2"}}, 400),
        ({"spec": {"replicas": 2}, "metadata": {"resourceVersion": "1"}}, 409),
        ({"spec": {"replicas": 2}, "metadata": {"name": "other"}}, 400),
        ({"kind": "Pod"}, 400),
        ([], 400),
    ],
)
def test_a_wrong_scale_is_refused(http: httpx.Client, namespace: str, scale: Any, code: int) -> None:
    assert http.put(deployment(http, namespace) + "/scale", json=scale).status_code == code


def test_kinds_without_a_scale_have_none(http: httpx.Client, namespace: str) -> None:
    assert http.get(f"/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt/scale").status_code == 404


def test_a_pod_is_bound_once_and_evicted(http: httpx.Client, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/pods"
    assert http.post(url, json=POD).status_code == 201
    binding = {"kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "elsewhere"}}
    assert http.post(f"{url}/p/binding", json=binding).status_code == 201
    assert http.get(f"{url}/p").json()["spec"]["nodeName"] == "elsewhere"
    assert http.post(f"{url}/p/binding", json=binding).status_code == 409
    assert http.post(f"{url}/p/binding", json={}).status_code == 422
    odd = binding | {"target": {"kind": "Pod", "name": "../x"}}
    fields = {c["field"] for c in http.post(f"{url}/p/binding", json=odd).json()["details"]["causes"]}
    assert fields == {"target.kind", "target.name"}
    eviction = {"kind": "Eviction", "metadata": {"name": "p"}, "deleteOptions": {"gracePeriodSeconds": 0}}
    assert http.post(f"{url}/p/eviction", json=eviction | {"deleteOptions": {"dryRun": ["All"]}}).status_code == 201
    assert http.get(f"{url}/p").status_code == 200
    assert http.post(f"{url}/p/eviction", json=eviction).status_code == 201
    assert http.get(f"{url}/p").status_code == 404
    assert http.post(f"{url}/p/eviction", json={}).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("pods/p/eviction", {"metadata": True}, "Eviction in version \"v1\" cannot be handled as a Eviction: json: cannot "
         "unmarshal bool into Go struct field Eviction.metadata of type v1.ObjectMeta"),
        ("pods/p/eviction", {"deleteOptions": {"gracePeriodSeconds": "1"}}, "json: cannot unmarshal string into Go struct "
         "field DeleteOptions.deleteOptions.gracePeriodSeconds of type int64"),
        ("pods/p/eviction", {"kind": "Pod", "apiVersion": "v1"}, "the API version in the data (v1) does not match the "
         "expected API version (policy/v1)"),
        ("pods/p/eviction", [], "the object provided is unrecognized (must be of type Eviction)"),
        ("pods/p/eviction", {"metadata": {"name": "q"}}, "name in URL does not match name in Eviction object"),
        ("pods/p/binding", {"target": 3}, "Binding.target of type v1.ObjectReference"),
        ("serviceaccounts/default/token", {"spec": 1}, "json: cannot unmarshal number into Go struct field "
         "TokenRequest.spec of type v1.TokenRequestSpec"),
        ("serviceaccounts/default/token", {"spec": {"audiences": [], "audience": "x"}},
         'strict decoding error: unknown field "spec.audience"'),
    ],
)  # fmt: skip
def test_a_body_of_another_kind_is_refused(
    http: httpx.Client, namespace: str, path: str, body: Any, words: str
) -> None:
    url = f"/api/v1/namespaces/{namespace}/{path}"
    refused = http.post(url, json=body, params={"fieldValidation": "Strict"})
    assert (refused.status_code, refused.json()["reason"]) == (400, "BadRequest"), refused.text
    assert words in refused.json()["message"]


def test_ephemeral_containers_are_refused_with_the_way_out(http: httpx.Client, namespace: str) -> None:
    refused = http.patch(f"/api/v1/namespaces/{namespace}/pods/p/ephemeralcontainers", json={}, headers=MERGE)
    assert refused.status_code == 422
    assert "use a real cluster" in refused.json()["message"]


def test_a_namespace_goes_with_all_that_is_in_it(http: httpx.Client) -> None:
    name = http.post("/api/v1/namespaces", json={"metadata": {"generateName": "n-"}}).json()["metadata"]["name"]
    http.post(f"/api/v1/namespaces/{name}/configmaps", json={"metadata": {"name": "m", "finalizers": ["a.io/wait"]}})
    http.delete(f"/api/v1/namespaces/{name}")
    waits = http.get(f"/api/v1/namespaces/{name}").json()
    assert waits["metadata"]["deletionTimestamp"]
    refused = http.post(f"/api/v1/namespaces/{name}/configmaps", json={"metadata": {"name": "late"}})
    assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")
    with http.stream("GET", "/api/v1/namespaces", params={"watch": "1", "timeoutSeconds": "10",
                     "fieldSelector": f"metadata.name={name}"}) as events:  # fmt: skip
        lines = events.iter_lines()
        next(lines)
        freed = {"metadata": {"finalizers": None}}
        http.patch(f"/api/v1/namespaces/{name}/configmaps/m", json=freed, headers=MERGE)
        assert any('"type":"DELETED"' in line for line in lines)
    assert http.get(f"/api/v1/namespaces/{name}").status_code == 404


def test_finalize_lets_a_namespace_go(http: httpx.Client) -> None:
    name = http.post("/api/v1/namespaces", json={"metadata": {"generateName": "n-"}}).json()["metadata"]["name"]
    body = {"metadata": {"name": name}, "spec": {"finalizers": []}}
    assert http.put(f"/api/v1/namespaces/{name}/finalize", json=body).status_code == 200
    assert http.delete(f"/api/v1/namespaces/{name}").status_code == 200
    assert http.get(f"/api/v1/namespaces/{name}").status_code == 404
    assert http.put(f"/api/v1/namespaces/{name}/finalize", json=body).status_code == 404
    assert http.put("/api/v1/namespaces/default/finalize", json={"spec": {"finalizers": 5}}).status_code == 400


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/api/v1/namespaces/{}/pods/p/proxy", "pods/proxy"),
        ("/api/v1/namespaces/{}/services/s/proxy/index.html", "services/proxy"),
        ("/api/v1/namespaces/{}/replicationcontrollers", "replicationcontrollers"),
        ("/api/v1/persistentvolumes/x", "persistentvolumes"),
        ("/apis/policy/v1/namespaces/{}/poddisruptionbudgets", "poddisruptionbudgets.policy"),
        ("/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers/x", "horizontalpodautoscalers.autoscaling"),
        ("/apis/apps/v1/statefulsets", "statefulsets.apps"),
        ("/apis/argoproj.io/v1alpha1/namespaces/{}/cronworkflows", "cronworkflows.argoproj.io"),
    ],
)
def test_what_there_is_not_says_where_it_is(http: httpx.Client, namespace: str, path: str, what: str) -> None:
    answer = http.get(path.format(namespace))
    assert (answer.status_code, answer.json()["reason"]) == (404, "NotFound")
    assert answer.json()["message"].startswith(f"{what}: not supported by the embedded cluster")
    assert answer.json()["message"].endswith("use a real cluster")
    assert http.get("/api/v1/namespaces/default/nonsense").json()["message"] == (
        "the server could not find the requested resource"
    )
