from __future__ import annotations

import stat
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from labkit.embedded import credentials
from labkit.embedded.api import auth
from labkit.embedded.status import ApiError
from labkit.errors import LabError
from labkit.paths import ClusterFolder


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic eDp5", "Bearer", "Bearer a.b.c", "Bearer é.ü.ß"])
def test_nobody_comes_in_without_a_valid_token(api_server: Any, header: str | None) -> None:
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
    users = auth.Authenticator(folder, lambda namespace, name: None)
    admin = users.authenticate("Bearer " + credentials.token(folder))
    assert admin == auth.User("kubernetes-admin", ("system:masters", "system:authenticated"))
    part = folder.tokens.with_suffix(".new")
    part.write_text('{"fresh": {"name": "somebody", "groups": []}}')
    part.replace(folder.tokens)
    assert users.authenticate("bearer fresh").name == "somebody"
    with pytest.raises(ApiError):
        users.authenticate("Bearer stale")


def test_a_damaged_or_deleted_tokens_file_locks_nobody_out(folder: ClusterFolder) -> None:
    users = auth.Authenticator(folder, lambda namespace, name: None)
    header = "Bearer " + credentials.token(folder)
    admin = users.authenticate(header)
    for content in ("{", "[]", '{"x": {}}'):
        folder.tokens.write_text(content)
        assert users.authenticate(header) == admin
        with pytest.raises(LabError, match=r"tokens\.json is damaged"):
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
