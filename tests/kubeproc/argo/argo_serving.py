"""A real API server on loopback, in a thread of this process or killable on its own, and a pod's files without a kubelet."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from kubeproc import credentials
from kubeproc.admission import admit
from kubeproc.api import app as api
from kubeproc.argo.executor import executor
from kubeproc.argo.server import routes
from kubeproc.folder import ClusterFolder
from kubeproc.resources import NAMESPACES, SERVICEACCOUNTS, WORKFLOWTASKRESULTS
from kubeproc.runtime.launch import Launch, Mount
from kubeproc.runtime.paths import host_path
from kubeproc.store import Store

Object = dict[str, Any]


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


class Served:
    """The API over a store in memory, at `url`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = Store(None, admit=admit)
        for name in ("default", "argo"):
            self.store.create(NAMESPACES, {"metadata": {"name": name}})
            if self.store.find(SERVICEACCOUNTS, name, "default") is None:
                self.store.create(SERVICEACCOUNTS, {"metadata": {"name": "default", "namespace": name}})
        self.port = free_port()
        credentials.prepare(ClusterFolder(home), self.port)
        self.token = credentials.token(ClusterFolder(home))
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            api.build(self.store, home, others=[routes]),
            host="127.0.0.1",
            port=self.port,
            log_level="warning",
            lifespan="off",
        )
        self.server = _Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        assert self.server.up.wait(60)
        # One for all calls: each new one reads the certificates of all authorities.
        self.http = httpx.Client(base_url=self.url, headers=self.headers, timeout=20, trust_env=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers=self.headers, timeout=10, trust_env=False)

    def get(self, path: str, **query: str) -> httpx.Response:
        return self.http.get(path, params=query)

    def stop(self) -> None:
        self.http.close()
        self.server.should_exit = self.server.force_exit = True
        self.thread.join(10)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    home = tmp_path / "cluster"
    home.mkdir()
    found = Served(home)
    yield found
    found.stop()


class Pod:
    """A workflow's pod and its files: containers are folders; main's program is what the test does."""

    def __init__(self, home: Path, api_: httpx.AsyncClient, template: Object, **environment: str) -> None:
        self.home, self.api = home, api_
        self.root = home / "pods" / "uid-of-pod" / "containers"
        self.volumes: dict[str, Path] = {}
        self.done = asyncio.Event()
        self.code = 0
        env = {"ARGO_TEMPLATE": json.dumps(template), "ARGO_NODE_ID": "wf-123", **environment}
        listed = [{"name": n, "value": v} for n, v in env.items()]
        owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "wf", "uid": "uid-of-workflow"}
        self.object: Object = {
            "metadata": {
                "name": "wf-main-123",
                "namespace": "default",
                "uid": "uid-of-pod",
                "labels": {"workflows.argoproj.io/workflow": "wf"},
                "ownerReferences": [owner],
            },
            "spec": {"containers": [{"name": n, "env": listed} for n in ("wait", "main")]},
        }

    def path(self, container: str, path: str) -> Path:
        mounts = tuple(Mount(folder, target) for target, folder in self.volumes.items())
        return host_path(Launch([], {}, "/", self.root / container / "root", mounts), path)

    def translate(self, container: str, text: str) -> str:
        return text

    def log(self, container: str) -> Path:
        return self.root / container / "0.log"

    async def finished(self, container: str) -> int:
        await self.done.wait()
        return self.code

    async def may_report(self) -> bool:
        return False

    async def secret(self, name: str) -> Object | None:
        found = await self.api.get(f"/api/v1/namespaces/default/secrets/{name}")
        return found.json() if found.status_code == 200 else None

    def write(self, path: str, content: str | bytes) -> Path:
        """What main's program would have written."""
        file = self.path("main", path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def print(self, text: str, stream: str = "stdout", full: str = "F") -> None:
        self.log("main").parent.mkdir(parents=True, exist_ok=True)
        with self.log("main").open("a") as file:
            file.write(f"2026-11-24T08:00:00.000000000Z {stream} {full} {text}\n")

    async def run(self, container: str) -> executor.Outcome:
        if container == "wait":
            self.done.set()
        return await executor.run(self.object, container, self)


def result(served: Served, node: str = "wf-123") -> Object | None:
    return served.store.find(WORKFLOWTASKRESULTS, "default", node)


def parameters(found: Object | None) -> dict[str, str]:
    assert found is not None
    return {p["name"]: p["value"] for p in found["outputs"]["parameters"]}
