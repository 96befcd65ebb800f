from __future__ import annotations

import base64
import json

import httpx
import pytest


def fill(http: httpx.Client, namespace: str, count: int) -> str:
    url = f"/api/v1/namespaces/{namespace}/secrets"
    for i in range(count):
        body = {"metadata": {"name": f"s{i:02}", "labels": {"n": str(i % 2)}}}
        assert http.post(url, json=body).status_code == 201
    return url


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [i["metadata"]["name"] for i in answer.json()["items"]]


def test_pages_show_the_moment_of_the_first(http: httpx.Client, namespace: str) -> None:
    url = fill(http, namespace, 5)
    first = http.get(url, params={"limit": 2})
    assert names(first) == ["s00", "s01"]
    assert first.json()["metadata"]["remainingItemCount"] == 3
    http.delete(f"{url}/s03")
    http.post(url, json={"metadata": {"name": "s035"}})
    second = http.get(url, params={"limit": 2, "continue": first.json()["metadata"]["continue"]})
    third = http.get(url, params={"limit": 2, "continue": second.json()["metadata"]["continue"]})
    assert names(second) + names(third) == ["s02", "s03", "s04"]
    assert "continue" not in third.json()["metadata"]
    assert len({page.json()["metadata"]["resourceVersion"] for page in (first, second, third)}) == 1


def test_a_forgotten_page_expires_and_offers_to_go_on(http: httpx.Client, namespace: str) -> None:
    url = fill(http, namespace, 4)
    token = http.get(url, params={"limit": 2}).json()["metadata"]["continue"]
    content = json.loads(base64.urlsafe_b64decode(token + "=="))
    forged = base64.urlsafe_b64encode(json.dumps(content | {"list": "0" * 32}).encode()).decode().rstrip("=")
    expired = http.get(url, params={"limit": 2, "continue": forged})
    assert (expired.status_code, expired.json()["reason"]) == (410, "Expired")
    rest = http.get(url, params={"limit": 2, "continue": expired.json()["metadata"]["continue"]})
    assert names(rest) == ["s02", "s03"]


@pytest.mark.parametrize("token", ["x", "e30", "!!!!", "bnVsbA", "ééé"])
def test_a_senseless_continue_token_is_a_bad_request(http: httpx.Client, namespace: str, token: str) -> None:
    assert http.get(f"/api/v1/namespaces/{namespace}/secrets", params={"continue": token}).status_code == 400


def test_selectors_choose(http: httpx.Client, namespace: str) -> None:
    url = fill(http, namespace, 4)
    assert names(http.get(url, params={"labelSelector": "n in (1)"})) == ["s01", "s03"]
    assert names(http.get(url, params={"fieldSelector": "metadata.name=s02"})) == ["s02"]
    both = {"labelSelector": "n=0", "fieldSelector": "metadata.name!=s02"}
    assert names(http.get(url, params=both)) == ["s00"]
    assert http.get(url, params={"fieldSelector": "spec.nothing=1"}).status_code == 400
    assert http.get(url, params={"labelSelector": "a=b=c"}).status_code == 400


def test_a_version_from_the_future_is_a_timeout_and_a_past_one_expired(http: httpx.Client, namespace: str) -> None:
    url = fill(http, namespace, 1)
    future = http.get(url, params={"resourceVersion": "999999999"})
    assert (future.status_code, future.json()["reason"]) == (504, "Timeout")
    assert future.headers["retry-after"] == "1"
    exact = {"resourceVersion": "2", "resourceVersionMatch": "Exact"}
    assert http.get(url, params=exact).status_code == 410
    assert http.get(url, params=exact | {"resourceVersionMatch": "NotOlderThan"}).status_code == 200
    assert http.get(url, params={"resourceVersion": "abc"}).status_code == 400
    assert http.get(url, params={"resourceVersionMatch": "Exact"}).status_code == 422
    assert http.get(url, params={"limit": "many"}).status_code == 400


def test_a_list_spans_namespaces(http: httpx.Client, namespace: str) -> None:
    fill(http, namespace, 1)
    everywhere = http.get("/api/v1/secrets").json()
    assert everywhere["kind"] == "SecretList"
    assert namespace in {i["metadata"]["namespace"] for i in everywhere["items"]}
