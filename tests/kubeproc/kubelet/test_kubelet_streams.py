"""exec, attach and port-forward through the official client; Services through their proxy."""

from __future__ import annotations

import json
import socket
import time
import urllib.request

import pytest
from kubernetes.stream import portforward, stream

from clusters import Kube, container

SERVER = 'exec python3 -c "$PROGRAM"'
PROGRAM = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["HOSTNAME"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer((os.environ.get("HOST", ""), int(os.environ.get("PORT", "80"))), Handler).serve_forever()
"""


def web(kube: Kube, name: str, **spec):
    probe = {"tcpSocket": {"port": 80}, "periodSeconds": 1}
    kube.pod(name, ["sh", "-c", SERVER], metadata={"labels": {"app": "web"}}, container={
        "ports": [{"containerPort": 80}], "env": [{"name": "PROGRAM", "value": PROGRAM}], "readinessProbe": probe,
    }, **spec)  # fmt: skip


def execute(kube: Kube, name: str, command: list[str], **options):
    options = {"stdin": False, "stdout": True, "stderr": True, "tty": False, "_preload_content": False, **options}
    return stream(kube.core.connect_get_namespaced_pod_exec, name, kube.namespace, command=command, **options)


def test_exec_gives_output_errors_and_the_exit_code(kube: Kube):
    kube.pod("p", ["sh", "-c", "echo x > /tmp/mine; sleep 60"])
    kube.running("p")
    session = execute(kube, "p", ["sh", "-c", "cat /tmp/mine; echo oops >&2; exit 3"])
    session.run_forever(timeout=10)
    assert (session.read_stdout(), session.read_stderr(), session.returncode) == ("x\n", "oops\n", 3)


def test_exec_reads_standard_input(kube: Kube):
    kube.pod("p", ["sleep", "60"])
    kube.running("p")
    session = execute(kube, "p", ["sh", "-c", "read line; echo got $line"], stdin=True)
    session.write_stdin("word\n")
    session.run_forever(timeout=10)
    assert session.read_stdout() == "got word\n"


def test_exec_of_a_missing_program_is_an_error(kube: Kube):
    kube.pod("p", ["sleep", "60"])
    kube.running("p")
    session = execute(kube, "p", ["no-such-program"])
    session.run_forever(timeout=10)
    with pytest.raises(ValueError, match="no-such-program"):  # the client wants a number, upstream gives it words
        assert session.returncode


def test_attach_shows_what_a_container_prints(kube: Kube):
    kube.pod("p", ["sh", "-c", "read line; echo got $line"], container={"stdin": True})
    kube.running("p")
    session = stream(kube.core.connect_get_namespaced_pod_attach, "p", kube.namespace, stdin=True, stdout=True,
                     stderr=True, tty=False, _preload_content=False)  # fmt: skip
    session.write_stdin("word\n")
    session.run_forever(timeout=10)
    assert session.read_stdout() == "got word\n"


def test_a_port_is_forwarded_to_the_container(kube: Kube):
    web(kube, "p")
    kube.until("p", lambda p: container(p).get("ready"), 20)
    forward = portforward(kube.core.connect_get_namespaced_pod_portforward, "p", kube.namespace, ports="80")
    sock = forward.socket(80)
    sock.setblocking(True)
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = b""
    while data := sock.recv(4096):
        answer += data
    sock.close()
    assert answer.endswith(b"\r\n\r\np")
    assert forward.error(80) is None


def test_a_service_balances_over_ready_pods_and_resets_without_one(kube: Kube):
    if kube.own_network:
        pytest.skip("the host is no part of that network: kubeproc/network has this test from a pod")
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
    made = kube.core.create_namespaced_service(kube.namespace, service)
    port = json.loads(made.metadata.annotations["labkit.dev/ports"])["80"]
    deadline = time.monotonic() + 10
    while True:  # the proxy listens, and resets
        with socket.socket() as sock:
            sock.settimeout(2)
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                with pytest.raises(ConnectionResetError):
                    sock.recv(1)
                break
        assert time.monotonic() < deadline
    web(kube, "a")
    web(kube, "b")
    for name in "ab":
        kube.until(name, lambda p: container(p).get("ready"), 20)
    answers = set()
    while answers != {"a", "b"}:
        assert time.monotonic() < deadline + 20, answers
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                answers.add(answer.read().decode())
        except OSError:
            continue
