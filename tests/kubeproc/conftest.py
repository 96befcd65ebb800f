"""An API server of its own for a test: a real process, TLS, tokens, a folder below tmp_path."""

from __future__ import annotations

import os
import select
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from kubeproc import credentials
from kubeproc.folder import ClusterFolder

SECONDS = 60


@dataclass
class ApiServer:
    """A server on `url` with the files of `folder`; `kubeconfig` is the path, `token` the administrator's."""

    folder: ClusterFolder
    port: int
    process: subprocess.Popen[bytes]
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        return self.folder.kubeconfig

    @property
    def token(self) -> str:
        return credentials.token(self.folder)

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder.ca))

    def client(self, token: str | None = None) -> httpx.Client:
        """An HTTP client that trusts the server and brings a token (the administrator's)."""
        made = httpx.Client(
            base_url=self.url,
            verify=self.context,
            headers={"Authorization": f"Bearer {token or self.token}"},
            timeout=SECONDS,
            trust_env=False,
        )
        self.clients.append(made)
        return made

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start it again on the same port and folder, after it has ended."""
        self.process = launch(self.folder, self.port)


def launch(folder: ClusterFolder, port: int) -> subprocess.Popen[bytes]:
    """Start a server process and wait until it says that it answers."""
    read, write = os.pipe()
    command = [sys.executable, "-m", "kubeproc.server", "--home", str(folder.root), "--port", str(port)]
    folder.log.mkdir(parents=True, exist_ok=True)
    log = folder.log / "server.log"
    with log.open("ab") as out:
        process = subprocess.Popen([*command, "--ready-fd", str(write)], pass_fds=[write], stdout=out, stderr=out)
    os.close(write)
    ready, _, _ = select.select([read], [], [], SECONDS)
    answered = bool(ready and os.read(read, 1))
    os.close(read)
    if not answered:
        process.kill()
        process.wait()
        raise RuntimeError(f"the server did not start:\n{log.read_text()}")
    return process


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], ApiServer]]:
    """Makes servers, and ends them with the run."""
    made: list[ApiServer] = []

    def start() -> ApiServer:
        folder = ClusterFolder(tmp_path_factory.mktemp("cluster") / "labkit")
        credentials.prepare(folder, 0)
        process = launch(folder, 0)
        port = int(folder.kubeconfig.read_text().split("https://127.0.0.1:")[1].split('"')[0])
        made.append(ApiServer(folder, port, process))
        return made[-1]

    yield start
    for server in made:
        for client in server.clients:
            client.close()
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGTERM)
            try:
                server.process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()


@pytest.fixture(scope="session")
def api_server(servers: Callable[[], ApiServer]) -> ApiServer:
    """One server for all tests; each takes a namespace of its own (`namespace`)."""
    return servers()


@pytest.fixture
def http(api_server: ApiServer) -> Iterator[httpx.Client]:
    """A client of `api_server` as its administrator."""
    with api_server.client() as client:
        yield client


@pytest.fixture
def namespace(http: httpx.Client) -> Iterator[str]:
    """A fresh namespace of `api_server`, deleted afterwards."""
    made = http.post("/api/v1/namespaces", json={"metadata": {"generateName": "test-"}})
    assert made.status_code == 201, made.text
    name = made.json()["metadata"]["name"]
    yield name
    http.delete(f"/api/v1/namespaces/{name}")
