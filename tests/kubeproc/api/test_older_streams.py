"""Clients that name an older subprotocol, or none, and watches over a websocket; kr8s is one of the first kind."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kr8s
import pytest
import yaml
from kr8s.objects import Pod, Service
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.typing import Subprotocol

NAMESPACE = "/api/v1/namespaces/default"
SERVED = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "served", "labels": {"app": "served"}},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "main",
                "image": "labkit/lab:1",
                "command": ["sh", "-c", "exec python3 -m http.server ${PORT:-80} --bind ${HOST:-0.0.0.0}"],
                "ports": [{"containerPort": 80}],
                "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1},
            }
        ],
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "served"},
    "spec": {"selector": {"app": "served"}, "ports": [{"port": 80, "targetPort": 80}]},
}


@pytest.fixture(scope="module")
def api(cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[kr8s.Api]:
    """kr8s on the module's cluster, which has a pod and a Service `served`."""
    made = kr8s.api(kubeconfig=str(_with_files(cluster, tmp_path_factory.mktemp("kr8s"))))
    pod = Pod(SERVED, api=made)
    pod.create()
    Service(SERVICE, api=made).create()
    pod.wait("condition=Ready", timeout=60)
    yield made
    pod.delete()


def _with_files(kubeconfig: Path, folder: Path) -> Path:
    """The kubeconfig with its certificates in files: kr8s writes what it finds inside to files that it never deletes."""
    config = yaml.safe_load(kubeconfig.read_text())
    for entry in (config["clusters"][0]["cluster"], config["users"][0]["user"]):
        for name in [key for key in entry if key.endswith("-data")]:
            path = folder / name
            path.write_bytes(base64.b64decode(entry.pop(name)))
            entry[name.removesuffix("-data")] = str(path)
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    return folder / "kubeconfig"


@pytest.fixture(scope="module")
def address(cluster: Path, api: kr8s.Api) -> tuple[str, ssl.SSLContext, dict[str, str]]:
    """The server's websocket address, its certificate, and a header with the user's token."""
    config = yaml.safe_load(cluster.read_text())
    server = config["clusters"][0]["cluster"]
    trust = ssl.create_default_context(cadata=base64.b64decode(server["certificate-authority-data"]).decode())
    token = config["users"][0]["user"]["token"]
    return server["server"].replace("https", "wss"), trust, {"Authorization": f"Bearer {token}"}


class Dialled:
    """A websocket, driven by the thread that uses it: websockets' own blocking client reads and writes one TLS connection in two
    threads, which OpenSSL does not allow, and sometimes hangs."""

    def __init__(self, url: str, **options: Any) -> None:
        self.runner = asyncio.Runner()
        try:
            self.ws = self.runner.run(self._open(url, options))
        except BaseException:
            self.runner.close()
            raise

    async def _open(self, url: str, options: Any) -> Any:
        return await connect(url, proxy=None, **options)

    def __enter__(self) -> Dialled:
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.run(self.ws.close())
        self.runner.close()

    @property
    def subprotocol(self) -> str | None:
        return self.ws.subprotocol

    @property
    def close_code(self) -> int | None:
        return self.ws.close_code

    def send(self, message: bytes | str) -> None:
        self.runner.run(self.ws.send(message))

    def recv(self) -> Any:
        return self.runner.run(self.ws.recv())

    def __iter__(self) -> Iterator[Any]:
        """The messages until the end; an end that is a failure raises."""
        with contextlib.suppress(ConnectionClosedOK):
            while True:
                yield self.recv()


@pytest.fixture
def dial(address: tuple[str, ssl.SSLContext, dict[str, str]]) -> Any:
    def opened(path: str, *protocols: str) -> Dialled:
        server, trust, headers = address
        names = [Subprotocol(p) for p in protocols] or None
        return Dialled(server + path, ssl=trust, additional_headers=headers, subprotocols=names, compression=None)

    return opened


def exec_path(script: str) -> str:
    command = "&".join(f"command={word}" for word in ("sh", "-c", script))
    return f"{NAMESPACE}/pods/served/exec?{command}&stdout=1&stderr=1&stdin=1"


@pytest.mark.parametrize("protocol", ["channel.k8s.io", ""])
def test_the_oldest_form_of_exec_names_only_a_failure(dial: Any, protocol: str) -> None:
    offered = [protocol] if protocol else []
    with dial(exec_path("read%20word;echo%20$word"), *offered) as ws:
        assert (ws.subprotocol or "") == protocol
        ws.send(b"\x00hello\n")
        assert b"".join(ws) == b"\x01hello\n"
    with dial(exec_path("exit%203"), *offered) as ws:
        assert b"".join(ws) == b"\x03command terminated with non-zero exit code: exit status 3"


@pytest.mark.parametrize(("protocol", "status"), [("base64.channel.k8s.io", False), ("v4.base64.channel.k8s.io", True)])
def test_messages_in_base64_are_text(dial: Any, protocol: str, status: bool) -> None:
    with dial(exec_path("read%20word;echo%20$word"), protocol) as ws:
        ws.send("0" + base64.b64encode(b"hello\n").decode())
        said = list(ws)
    assert [m[0] for m in said] == (["1", "3"] if status else ["1"])
    assert base64.b64decode(said[0][1:]) == b"hello\n"
    if status:
        assert json.loads(base64.b64decode(said[1][1:]))["status"] == "Success"


def test_a_message_that_is_not_base64_closes_the_connection(dial: Any) -> None:
    with dial(exec_path("cat"), "base64.channel.k8s.io") as ws:
        ws.send("0***")
        with pytest.raises(ConnectionClosedError):
            ws.recv()
        assert ws.close_code == 1007


def test_the_client_chooses_among_its_subprotocols(dial: Any) -> None:
    with dial(exec_path("true"), "v9.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io") as ws:
        assert ws.subprotocol == "v4.base64.channel.k8s.io"
    with dial(exec_path("true"), "v4.channel.k8s.io", "v5.channel.k8s.io") as ws:
        assert ws.subprotocol == "v5.channel.k8s.io"
    with pytest.raises(InvalidStatus) as refused:
        dial(exec_path("true"), "v9.channel.k8s.io")
    assert b"none of the subprotocols ['v9.channel.k8s.io']" in refused.value.response.body


def test_attach_needs_no_subprotocol(dial: Any) -> None:
    with dial(f"{NAMESPACE}/pods/served/attach?stdout=1") as ws:
        assert ws.subprotocol is None


def test_a_port_is_forwarded_without_a_subprotocol(dial: Any) -> None:
    with dial(f"{NAMESPACE}/pods/served/portforward?ports=80") as ws:
        assert [ws.recv(), ws.recv()] == [b"\x00\x50\x00", b"\x01\x50\x00"]
        ws.send(b"\x00GET / HTTP/1.0\r\n\r\n")
        assert ws.recv().startswith(b"\x00HTTP/1.0 200 OK")


def test_a_watch_over_a_websocket_is_a_message_an_event(dial: Any) -> None:
    with dial(f"{NAMESPACE}/pods?watch=true&fieldSelector=metadata.name=served&timeoutSeconds=1") as ws:
        events = [json.loads(message) for message in ws]
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in events] == [("ADDED", "served")]


def test_a_watch_of_an_old_version_and_a_list_are_refused(dial: Any) -> None:
    with dial(f"{NAMESPACE}/pods?watch=true&resourceVersion=1&timeoutSeconds=1") as ws:
        first = json.loads(ws.recv())
    assert first["type"] in ("ADDED", "ERROR")
    for path, words in (
        (f"{NAMESPACE}/pods", b"add watch=true"),
        (f"{NAMESPACE}/pods/none/log?watch=1", b"plain request"),
    ):
        with pytest.raises(InvalidStatus) as refused:
            dial(path)
        assert words in refused.value.response.body


def test_a_watch_needs_a_token(address: tuple[str, ssl.SSLContext, dict[str, str]]) -> None:
    server, trust, _ = address
    with pytest.raises(InvalidStatus) as refused:
        Dialled(f"{server}{NAMESPACE}/pods?watch=true", ssl=trust)
    assert refused.value.response.status_code == 401


def test_kr8s_finds_a_pod_by_its_name(api: kr8s.Api) -> None:
    assert [pod.name for pod in kr8s.get("pods", "served", api=api)] == ["served"]
    assert not list(kr8s.get("pods", "none", api=api))


def test_kr8s_execs_in_a_pod(api: kr8s.Api) -> None:
    pod = Pod.get("served", api=api)
    done = pod.exec(["sh", "-c", "echo out; echo err >&2; exit 4"], check=False)
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 4)


@pytest.mark.parametrize("kind", [Pod, Service])
def test_kr8s_forwards_a_port(api: kr8s.Api, kind: Any) -> None:
    import httpx

    with socket.create_server(("127.0.0.1", 0)) as free:  # kr8s itself takes any port, in use or not
        number = free.getsockname()[1]
    with kind.get("served", api=api).portforward(remote_port=80, local_port=number) as port:
        assert httpx.get(f"http://127.0.0.1:{port}", timeout=10).status_code == 200


def test_kr8s_watches_and_reads_logs(api: kr8s.Api) -> None:
    for event, pod in api.watch("pods", namespace="default"):
        assert (event, pod.name) == ("ADDED", "served")
        break
    assert all(isinstance(line, str) for line in Pod.get("served", api=api).logs())


def test_refusals_leave_the_servers_log_alone(cluster: Path, dial: Any) -> None:
    log = cluster.parent / "log" / "server.log"
    before = log.read_text()
    for path in ("pods/none/portforward?ports=80", "pods/served/exec?stdout=1", "pods"):
        with pytest.raises(InvalidStatus):
            dial(f"{NAMESPACE}/{path}")
    assert log.read_text() == before
