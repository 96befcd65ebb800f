"""Implements what the kubelet lends Argo's executor of one pod: paths, logs, exit codes, and a client of the API."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any, Protocol

import httpx

from kubeproc.kubelet.api_client import Refused, Unreachable
from kubeproc.kubelet.container import Container
from kubeproc.kubelet.shared import Shared
from kubeproc.rbac.users import account
from kubeproc.resources import WORKFLOWTASKRESULTS


class Pod(Protocol):
    """The part of a pod that its executor needs."""

    object: dict[str, Any]
    shared: Shared

    def container(self, name: str) -> Container: ...

    async def token(self, refused: str = "") -> str: ...


class LentFiles:
    """Implements `executor.Files` for one pod."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self.home: Path = pod.shared.home.root
        self.api = httpx.AsyncClient(transport=_transport(pod), base_url=_url(pod), auth=_Account(pod), timeout=30)

    def path(self, container: str, path: str) -> Path:
        found = self._pod.container(container)
        return self._pod.shared.runtime.host_path(found.launch({}, []), path)

    def translate(self, container: str, text: str) -> str:
        found = self._pod.container(container)
        return self._pod.shared.runtime.translate(found.launch({}, []), text)

    def log(self, container: str) -> Path:
        return self._pod.container(container).log_path

    async def finished(self, container: str) -> int:
        found = self._pod.container(container)
        await found.ended.wait()
        code = found.state.exit_code
        return 137 if code is None else code

    async def may_report(self) -> bool:
        meta, spec = self._pod.object["metadata"], self._pod.object["spec"]
        user, namespace = account(meta["namespace"], spec.get("serviceAccountName") or "default"), meta["namespace"]
        api = self._pod.shared.api
        if _reporters.get((api.pool.port, user.name), 0.0) < time.monotonic():
            asked = {"verb": "create", "namespace": namespace, "group": WORKFLOWTASKRESULTS.group,
                     "resource": WORKFLOWTASKRESULTS.plural}  # fmt: skip
            review = {"user": user.name, "groups": list(user.groups), "resourceAttributes": asked}
            try:
                answer = await api.create(REVIEWS, {"spec": review})
            except (Refused, *Unreachable):
                return False
            if not answer["status"]["allowed"]:
                return False
            _reporters[api.pool.port, user.name] = time.monotonic() + REMEMBERED
        return True

    async def secret(self, name: str) -> dict[str, Any] | None:
        meta = self._pod.object["metadata"]
        return await self._pod.shared.api.find(f"/api/v1/namespaces/{meta['namespace']}/secrets/{name}")


REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
REMEMBERED = 10.0  # seconds until the permission of an account is checked again
_reporters: dict[tuple[int, str], float] = {}
_transports: dict[str, httpx.AsyncHTTPTransport] = {}


def _url(pod: Pod) -> str:
    return f"https://127.0.0.1:{pod.shared.api.pool.port}"


def _transport(pod: Pod) -> httpx.AsyncHTTPTransport:
    """The transport that the clients of all pods share."""
    url = _url(pod)
    if url not in _transports:
        limits = httpx.Limits(max_connections=None)
        _transports[url] = httpx.AsyncHTTPTransport(verify=pod.shared.api.pool.context, limits=limits)
    return _transports[url]


class _Account(httpx.Auth):
    """Authenticates with a token of the pod's service account: asks for one at the first request, and again when the server
    refuses it."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        raise RuntimeError("the executor's client is asynchronous")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await self.pod.token()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            request.headers["Authorization"] = f"Bearer {await self.pod.token(refused=token)}"
            yield request
