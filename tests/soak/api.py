"""The API for clients that outlive its server: plain requests, and requests that are tried until they are answered."""

from __future__ import annotations

import json
import ssl
import threading
import time
from typing import Any

import httpx

from kubeproc import credentials
from labkit.paths import ClusterFolder

Object = dict[str, Any]
AWAY = 40.0  # seconds that the server may be away
NAMESPACE = "soak"
ROOT = f"/api/v1/namespaces/{NAMESPACE}"
MAPS, PODS = f"{ROOT}/configmaps", f"{ROOT}/pods"
MERGE = {"Content-Type": "application/merge-patch+json"}


def connect(folder: ClusterFolder) -> httpx.Client:
    """A client as the cluster's administrator; an answer may take as long as a stopped server sleeps."""
    info = json.loads(folder.info.read_text())
    return httpx.Client(
        base_url=f"https://127.0.0.1:{info['port']}",
        verify=ssl.create_default_context(cafile=str(folder.ca)),
        headers={"Authorization": f"Bearer {credentials.token(folder)}"},
        timeout=httpx.Timeout(120, connect=5),
        trust_env=False,
    )


def patiently(http: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response:
    """The answer to a request that may be sent twice, however often the server dies meanwhile."""
    deadline = time.monotonic() + AWAY
    while True:
        try:
            return http.request(method, path, **more)
        except httpx.TransportError:
            assert time.monotonic() < deadline, f"the server was away for more than {AWAY} s"
            time.sleep(0.05)  # nobody listens: there is nothing to wait for


def listing(http: httpx.Client, path: str, **params: str) -> Object:
    answer = patiently(http, "GET", path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def create(http: httpx.Client, path: str, obj: Object) -> Object:
    """Make the object once: an answer that was lost leaves AlreadyExists to the second attempt."""
    answer = patiently(http, "POST", path, json=obj)
    if answer.status_code == 409:
        answer = patiently(http, "GET", f"{path}/{obj['metadata']['name']}")
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


class Worker(threading.Thread):
    """A thread whose failure is told to who joins it."""

    def __init__(self, folder: ClusterFolder, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.http, self.stop = connect(folder), stop
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with self.http:
                self.work()
        except BaseException as error:
            self.failure = error

    def work(self) -> None:
        raise NotImplementedError

    def ended(self) -> None:
        self.join(AWAY * 2)
        if self.failure:
            raise self.failure
        assert not self.is_alive(), f"{type(self).__name__} does not end"
