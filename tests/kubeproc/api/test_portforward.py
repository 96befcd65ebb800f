"""`kubectl port-forward` as it is installed, to pods that serve: to a pod, a Service, a Deployment; in parallel, and failing."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from clusters import running_cluster
from kubeproc import engine
from kubeproc.folder import ClusterFolder
from kubeproc.network import mode

KUBECTL = Path(sys.executable).with_name("kubectl")
SIZE = 24 * 1024 * 1024
PROGRAM = """
import hashlib, os, socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        word, _, rest = self.rfile.readline().strip().partition(b" ")
        if word == b"send":
            self.wfile.write(bytes(range(256)) * (int(rest) // 256))
        elif word == b"digest":
            got = hashlib.sha256()
            while data := self.rfile.read1(65536): got.update(data)
            self.wfile.write(got.hexdigest().encode())
        elif word == b"hold":
            self.wfile.write(b"held\\n"); self.wfile.flush()
            self.rfile.read()
        else:
            self.wfile.write(b"you said " + word + b"\\n")
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    request_queue_size = 64
Server((os.environ.get("HOST", ""), int(os.environ.get("PORT", "7000"))), Handler).serve_forever()
"""
MANIFEST = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: program}}
data:
  serve.py: |{"".join(chr(10) + "    " + line for line in PROGRAM.splitlines())}
---
apiVersion: v1
kind: Service
metadata: {{name: said}}
spec:
  selector: {{app: said}}
  ports: [{{port: 80, targetPort: said}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: said}}
spec:
  selector: {{matchLabels: {{app: said}}}}
  template:
    metadata: {{labels: {{app: said}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: main
          image: python:3.11
          command: [python3, /program/serve.py]
          ports: [{{containerPort: 7000, name: said}}, {{containerPort: 7001}}]
          readinessProbe: {{tcpSocket: {{port: 7000}}, periodSeconds: 1}}
          volumeMounts: [{{name: program, mountPath: /program}}]
      volumes: [{{name: program, configMap: {{name: program}}}}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterFolder]:
    with running_cluster(tmp_path_factory.mktemp("forward")) as folder:
        kubectl(folder, "apply", "-f", "-", given=MANIFEST)
        kubectl(folder, "rollout", "status", "deployment/said", "--timeout=30s")
        yield folder


def kubectl(folder: ClusterFolder, *arguments: str, given: str = "") -> str:
    command = [str(KUBECTL), "--kubeconfig", str(folder.kubeconfig), *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=60).stdout


@contextlib.contextmanager
def forwarding(folder: ClusterFolder, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """kubectl, and the local port of the first forwarding."""
    command = [str(KUBECTL), "--kubeconfig", str(folder.kubeconfig), "port-forward", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        line = process.stdout.readline()
        found = re.fullmatch(r"Forwarding from 127\.0\.0\.1:(\d+) -> \d+\n", line)
        if not found:
            assert process.stderr
            raise AssertionError(line + process.stderr.read())
        yield process, int(found[1])
    finally:
        process.kill()
        process.communicate()


def ask(port: int, sent: bytes, finish: bool = True) -> bytes:
    """What comes back for `sent`, until the other side has ended."""
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        sock.sendall(sent)
        if finish:
            sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def ask_in_vain(port: int, sent: bytes) -> None:
    """Nothing comes back, however early kubectl closes the connection: before or after it has read what was sent."""
    try:
        answer = ask(port, sent)
    except OSError as error:
        if error.errno not in {errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE, errno.ECONNREFUSED}:
            raise
    else:
        assert answer == b""


def pod(folder: ClusterFolder) -> str:
    return kubectl(folder, "get", "pods", "-l", "app=said", "-o", "name").strip()


@pytest.mark.parametrize("target", ["pod", "service/said :80", "deployment/said :7000", "service/said :said"])
def test_a_connection_reaches_the_program(folder: ClusterFolder, target: str) -> None:
    arguments = [pod(folder), ":7000"] if target == "pod" else target.split()
    if target.endswith(":said"):
        kubectl(folder, "patch", "service", "said", "-p", '{"spec":{"ports":[{"port":80,"name":"said"}]}}')
    with forwarding(folder, *arguments) as (_, port):
        assert ask(port, b"hello\n", finish=False) == b"you said hello\n"
        assert ask(port, b"again\n") == b"you said again\n"


def test_connections_in_parallel_do_not_meet(folder: ClusterFolder) -> None:
    answers: dict[int, bytes] = {}
    with forwarding(folder, "deployment/said", ":7000") as (_, port):
        threads = [
            threading.Thread(target=lambda i=i: answers.__setitem__(i, ask(port, b"n%d\n" % i))) for i in range(24)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert answers == {i: b"you said n%d\n" % i for i in range(24)}


def test_much_comes_through_whole_in_both_directions_at_once(folder: ClusterFolder) -> None:
    sent = os.urandom(SIZE)
    got: list[bytes] = []
    with forwarding(folder, "deployment/said", ":7000") as (_, port):
        other = threading.Thread(target=lambda: got.append(ask(port, b"send %d\n" % SIZE)))
        other.start()
        assert ask(port, b"digest\n" + sent).decode() == hashlib.sha256(sent).hexdigest()
        other.join(30)
    assert got == [bytes(range(256)) * (SIZE // 256)]


def test_a_port_without_a_listener_ends_kubectl_with_the_reason(folder: ClusterFolder) -> None:
    with forwarding(folder, "deployment/said", ":7001") as (process, port):
        ask_in_vain(port, b"hello\n")
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "error forwarding port 7001 to pod" in errors
    assert "IPv4: dial tcp4 127.0.0.1:7001: connect: connection refused" in errors
    assert errors.rstrip().endswith("error: lost connection to pod")


def test_kubectl_killed_leaves_no_connection(folder: ClusterFolder) -> None:
    """The pod's own view where it has a network of its own, else the server's."""
    server = psutil.Process(engine.daemon(folder, "server").pid)

    def connected(ports: set[int]) -> set[int]:
        if mode.own(folder):
            lines = kubectl(folder, "exec", "deployment/said", "--", "cat", "/proc/net/tcp").splitlines()[1:]
            return {int(line.split()[1].partition(":")[2], 16) for line in lines if line.split()[3] == "01"} & ports
        return {c.raddr.port for c in server.net_connections("tcp") if c.raddr} & ports

    with (
        forwarding(folder, "deployment/said", ":7000") as (process, port),
        socket.create_connection(("127.0.0.1", port), 20) as sock,
    ):
        sock.sendall(b"hold\n")
        assert sock.recv(5) == b"held\n"
        if mode.own(folder):
            ports = {7000}
        else:
            host_port = int(kubectl(folder, "get", pod(folder), "-o", "jsonpath={..hostPort}").split()[0])
            ports = {c.laddr.port for c in psutil.Process(process.pid).net_connections("tcp")} | {host_port}
        assert connected(ports)
        process.kill()
        process.wait()
        until = time.monotonic() + 10
        while connected(ports) and time.monotonic() < until:
            time.sleep(0.02)
    assert not connected(ports)


def test_a_pod_that_is_gone_is_no_longer_forwarded_to(folder: ClusterFolder) -> None:
    kubectl(folder, "run", "brief", "--image=busybox", "--port=9000", "--", "sleep", "100")
    kubectl(folder, "wait", "--for=condition=Ready", "pod/brief", "--timeout=20s")
    with forwarding(folder, "pod/brief", ":9000") as (process, port):
        kubectl(folder, "delete", "pod", "brief", "--now")
        ask_in_vain(port, b"hello\n")
        _, errors = process.communicate(timeout=20)
    assert "is not running" in errors


def test_spdy_without_a_websocket_is_refused_with_a_hint(
    folder: ClusterFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false")
    with (
        pytest.raises(AssertionError, match="unset KUBECTL_PORT_FORWARD_WEBSOCKETS"),
        forwarding(folder, "deployment/said", ":7000"),
    ):
        pass
