"""Reviews: questions about rights and identities, answered and not kept."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

AUTHORIZATION, AUTHENTICATION = "/apis/authorization.k8s.io/v1", "/apis/authentication.k8s.io/v1"


def status(answer: httpx.Response) -> Any:
    assert answer.status_code == 201, answer.text
    return answer.json()["status"]


@pytest.mark.parametrize(
    "spec",
    [
        {"resourceAttributes": {"verb": "create", "group": "apps", "resource": "deployments", "namespace": "default"}},
        {"nonResourceAttributes": {"verb": "get", "path": "/healthz"}},
    ],
)
def test_the_administrator_may(http: httpx.Client, spec: dict[str, Any]) -> None:
    assert status(http.post(f"{AUTHORIZATION}/selfsubjectaccessreviews", json={"spec": spec})) == {"allowed": True}
    other = {"spec": spec | {"user": "jane"}}
    assert "allowed" in status(http.post(f"{AUTHORIZATION}/subjectaccessreviews", json=other))


@pytest.mark.parametrize(
    ("path", "review"),
    [
        ("selfsubjectaccessreviews", {"spec": {}}),
        ("selfsubjectaccessreviews", {"spec": []}),
        ("selfsubjectaccessreviews", []),
        ("selfsubjectaccessreviews", {"kind": "Pod", "apiVersion": "v1"}),
        ("subjectaccessreviews", {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}),
        ("selfsubjectaccessreviews", {"spec": {"resourceAttributes": "all"}}),
        ("selfsubjectaccessreviews", {"spec": {"resourceAttributes": {"verb": 1, "resource": ["x"]}}}),
        ("selfsubjectrulesreviews", {"metadata": 3}),
    ],
)
def test_a_question_that_makes_no_sense_is_a_bad_request(http: httpx.Client, path: str, review: Any) -> None:
    answer = http.post(f"{AUTHORIZATION}/{path}", json=review)
    assert answer.status_code == 400, answer.text
    assert answer.json()["reason"] == "BadRequest"


def test_a_local_review_is_about_its_namespace(http: httpx.Client) -> None:
    spec = {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}
    path = f"{AUTHORIZATION}/namespaces/default/localsubjectaccessreviews"
    assert "allowed" in status(http.post(path, json={"spec": spec}))


def test_rules_are_listed(http: httpx.Client) -> None:
    found = status(http.post(f"{AUTHORIZATION}/selfsubjectrulesreviews", json={"spec": {"namespace": "default"}}))
    assert {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]} in found["resourceRules"]
    assert {"verbs": ["*"], "nonResourceURLs": ["*"]} in found["nonResourceRules"]
    assert {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]} in found[
        "resourceRules"
    ]


def test_who_am_i(http: httpx.Client) -> None:
    user = status(http.post(f"{AUTHENTICATION}/selfsubjectreviews", json={}))["userInfo"]
    assert user == {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]}


def test_a_valid_token_is_distinguished_from_a_wrong_one(http: httpx.Client) -> None:
    made = http.post("/api/v1/namespaces/default/serviceaccounts/default/token", json={})
    token = made.json()["status"]["token"]
    found = status(http.post(f"{AUTHENTICATION}/tokenreviews", json={"spec": {"token": token}}))
    assert found["authenticated"] is True
    assert found["user"]["username"] == "system:serviceaccount:default:default"
    wrong = status(http.post(f"{AUTHENTICATION}/tokenreviews", json={"spec": {"token": token[:-2] + "xx"}}))
    assert "authenticated" not in wrong
    assert http.post(f"{AUTHENTICATION}/tokenreviews", json={"spec": {}}).status_code == 400


def test_metrics_are_refused_with_a_hint(http: httpx.Client) -> None:
    answer = http.get("/apis/metrics.k8s.io/v1beta1/nodes")
    assert answer.status_code == 404
    assert "a real cluster has a place for metrics-server" in answer.json()["message"]
