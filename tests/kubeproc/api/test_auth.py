from __future__ import annotations

import stat
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from kubeproc import credentials
from kubeproc.api.rest import auth
from kubeproc.api_errors import ApiError
from kubeproc.errors import HintedError
from kubeproc.folder import ClusterFolder


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic eDp5", "Bearer", "Bearer a.b.c", "Bearer é.ü.ß"])
def test_a_request_without_a_valid_token_is_unauthorized(api_server: Any, header: str | None) -> None:
    headers = {"Authorization": header.encode()} if header else {}
    answer = httpx.get(f"{api_server.url}/api/v1/pods", verify=api_server.context, headers=headers, trust_env=False)
    assert answer.status_code == 401
    assert answer.json() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "Unauthorized",
        "reason": "Unauthorized",
        "code": 401,
    }


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version", "/version/"])
def test_health_and_version_need_no_token(api_server: Any, path: str) -> None:
    assert httpx.get(api_server.url + path, verify=api_server.context, trust_env=False).status_code == 200


def test_the_certificate_is_checked(api_server: Any) -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get(api_server.url + "/healthz", trust_env=False)
    named = httpx.get(f"https://localhost:{api_server.port}/healthz", verify=api_server.context, trust_env=False)
    assert named.text == "ok"


def test_a_service_accounts_token_ends_with_the_account(api_server: Any, http: httpx.Client, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    assert http.post(url, json={"metadata": {"name": "robot"}}).status_code == 201
    made = http.post(f"{url}/robot/token", json={"spec": {"expirationSeconds": 700}})
    assert made.status_code == 201
    robot = api_server.client(made.json()["status"]["token"])
    assert robot.get("/apis").status_code == 200
    review = robot.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json={})
    assert review.json()["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:robot"
    http.delete(f"{url}/robot")
    assert robot.get("/apis").status_code == 401
    assert http.post(url, json={"metadata": {"name": "robot"}}).status_code == 201
    assert robot.get("/apis").status_code == 401, "another account, though of the same name"
    anew = http.post(f"{url}/robot/token", json={}).json()["status"]["token"]
    assert api_server.client(anew).get("/apis").status_code == 200
    http.delete(f"{url}/robot")
    assert http.post(f"{url}/robot/token", json={}).status_code == 404
    assert http.post(f"{url}/default/token", json={"spec": {"expirationSeconds": 1}}).status_code == 422


def issued(http: httpx.Client, namespace: str, **spec: Any) -> httpx.Response:
    return http.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token", json={"spec": spec})


def test_a_token_for_another_audience_is_not_valid_for_the_api(
    api_server: Any, http: httpx.Client, namespace: str
) -> None:
    made = issued(http, namespace, audiences=["vault"]).json()
    assert made["spec"]["audiences"] == ["vault"]
    token = made["status"]["token"]
    assert api_server.client(token).get("/apis").status_code == 401
    url = "/apis/authentication.k8s.io/v1/tokenreviews"
    here = http.post(url, json={"spec": {"token": token}}).json()["status"]
    assert not here.get("authenticated")
    there = http.post(url, json={"spec": {"token": token, "audiences": ["vault", "other"]}}).json()["status"]
    assert (there["authenticated"], there["audiences"]) == (True, ["vault"])
    both = issued(http, namespace, audiences=["vault", auth.ISSUER]).json()["status"]["token"]
    assert api_server.client(both).get("/apis").status_code == 200


def test_a_pods_token_ends_with_the_pod(api_server: Any, http: httpx.Client, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"schedulerName": "nobody", "containers": [{"name": "c", "image": "busybox"}]}
    pod = http.post(pods, json={"metadata": {"name": "p"}, "spec": spec}).json()
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": pod["metadata"]["uid"]}
    token = issued(http, namespace, boundObjectRef=reference).json()["status"]["token"]
    inside = api_server.client(token)
    assert inside.get("/apis").status_code == 200
    wrong = issued(http, namespace, boundObjectRef=reference | {"uid": "another"})
    assert (wrong.status_code, wrong.json()["reason"]) == (409, "Conflict")
    assert issued(http, namespace, boundObjectRef=reference | {"name": "q"}).status_code == 404
    odd = issued(http, namespace, boundObjectRef=reference | {"kind": "ConfigMap"})
    assert odd.json()["message"] == "cannot bind token to object of type /v1, Kind=ConfigMap"
    http.delete(f"{pods}/p", params={"gracePeriodSeconds": "0"})
    assert inside.get("/apis").status_code == 401
    assert http.post(pods, json={"metadata": {"name": "p"}, "spec": spec}).status_code == 201
    assert inside.get("/apis").status_code == 401, "another pod, though of the same name"


def test_a_pods_token_is_of_the_pods_account(http: httpx.Client, namespace: str) -> None:
    made = http.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", json={"metadata": {"name": "robot"}})
    assert made.status_code == 201
    spec = {"schedulerName": "nobody", "serviceAccountName": "robot", "containers": [{"name": "c", "image": "busybox"}]}
    http.post(f"/api/v1/namespaces/{namespace}/pods", json={"metadata": {"name": "p"}, "spec": spec})
    refused = issued(http, namespace, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})
    words = 'cannot bind token for serviceaccount "default" to pod running with different serviceaccount name.'
    assert (refused.status_code, refused.json()["message"]) == (400, words)


@pytest.fixture
def folder(tmp_path: Path) -> ClusterFolder:
    made = ClusterFolder(tmp_path / "c")
    credentials.prepare(made, 4711)
    return made


def test_a_token_expires_and_cannot_be_forged(folder: ClusterFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    key = credentials.signing_key(folder)
    account = auth.Account("space", "name", "uid")
    token = auth.issue(folder, account, seconds=60)
    assert auth.verify(key, token) == account
    assert auth.verify(b"another key", token) is None
    assert auth.verify(key, token[:-2] + "xx") is None
    start = time.time()
    monkeypatch.setattr(time, "time", lambda: start + 61)
    assert auth.verify(key, token) is None


def test_a_new_tokens_file_is_noticed(folder: ClusterFolder) -> None:
    users = auth.Authenticator(folder, lambda resource, namespace, name: None)
    admin = users.authenticate("Bearer " + credentials.token(folder))
    assert admin == auth.User("kubernetes-admin", ("system:masters", "system:authenticated"))
    part = folder.tokens.with_suffix(".new")
    part.write_text('{"fresh": {"name": "somebody", "groups": []}}')
    part.replace(folder.tokens)
    assert users.authenticate("bearer fresh").name == "somebody"
    with pytest.raises(ApiError):
        users.authenticate("Bearer stale")


def test_a_damaged_or_deleted_tokens_file_keeps_the_users(folder: ClusterFolder) -> None:
    users = auth.Authenticator(folder, lambda resource, namespace, name: None)
    header = "Bearer " + credentials.token(folder)
    admin = users.authenticate(header)
    for content in ("{", "[]", '{"x": {}}'):
        folder.tokens.write_text(content)
        assert users.authenticate(header) == admin
        with pytest.raises(HintedError, match=r"tokens\.json is damaged"):
            credentials.token(folder)
    folder.tokens.unlink()
    assert users.authenticate(header) == admin


def test_credentials_are_private_and_stay_the_same(folder: ClusterFolder) -> None:
    files = [p for p in folder.root.rglob("*") if p.is_file()]
    assert len(files) >= 6
    assert {stat.S_IMODE(p.stat().st_mode) for p in files} == {0o600}
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700
    before = {p: p.read_bytes() for p in files}
    credentials.prepare(folder, 4711)
    assert {p: p.read_bytes() for p in files} == before
    credentials.prepare(folder, 4712)
    assert "https://127.0.0.1:4712" in folder.kubeconfig.read_text()
    assert credentials.token(folder, credentials.KUBELET) != credentials.token(folder)
