"""Ordinary manifests on a cluster whose pods have a network of their own: addresses, ports, names, Services."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from kubernetes import client, utils, watch
from kubernetes.stream import portforward

from clusters import Kube, container, phase, processes_of

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: web
          image: python:3
          command: [python3, -c, "import http.server, os\\nclass H(http.server.BaseHTTPRequestHandler):\\n  def do_GET(self):\\n    self.send_response(200); self.end_headers(); self.wfile.write((os.environ['HOSTNAME'] + ' ' + self.client_address[0]).encode())\\nhttp.server.ThreadingHTTPServer(('', 8000), H).serve_forever()"]
          ports: [{containerPort: 8000, name: http}]
          readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: each}
spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 8000}]}
"""  # noqa: E501 - a manifest's one line of Python
ASK = """
import socket, urllib.request
seen = {urllib.request.urlopen(f"http://{name}", timeout=5).read().decode().split()[0] for name in NAMES for _ in range(4)}
print(len(seen), *sorted({a[4][0] for a in socket.getaddrinfo("each", 8000)}))
"""


@pytest.fixture
def web(kube: Kube, tmp_path: Path) -> Kube:
    """The two replicas, ready, behind their Services."""
    (tmp_path / "web.yaml").write_text(WEB)
    utils.create_from_yaml(kube.api, str(tmp_path / "web.yaml"), namespace=kube.namespace)
    deployments = client.AppsV1Api(kube.api).list_namespaced_deployment
    for event in watch.Watch().stream(deployments, kube.namespace, timeout_seconds=30):
        if event["object"].status.ready_replicas == 2:
            return kube
    raise AssertionError(kube.core.list_namespaced_event(kube.namespace).items)


def ran(kube: Kube, name: str, program: str, **more: Any) -> str:
    """What a pod that runs the Python program prints."""
    kube.pod(name, ["python3", "-c", program], "python:3", **more)
    pod = kube.ended(name)
    assert phase(pod) == "Succeeded", kube.log(name)
    return kube.log(name)


def test_two_replicas_with_the_same_port_answer_by_name(web: Kube):
    names = ["web", f"web.{web.namespace}", f"web.{web.namespace}.svc", f"web.{web.namespace}.svc.cluster.local"]
    count, *addresses = ran(web, "ask", ASK.replace("NAMES", repr(names))).split()
    pods = web.core.list_namespaced_pod(web.namespace, label_selector="app=web").items
    assert count == "2", "both replicas answer"
    assert addresses == sorted(pod.status.pod_ip for pod in pods)
    with socket.socket() as sock:  # nothing of a pod listens on the host
        assert sock.connect_ex(("127.0.0.1", 8000)) != 0


def test_endpoints_are_one_subset_and_one_slice(web: Kube):
    endpoints = web.core.read_namespaced_endpoints("web", web.namespace)
    (subset,) = endpoints.subsets
    assert len(subset.addresses) == 2
    assert [(p.name, p.port) for p in subset.ports] == [("http", 8000)]
    slices = client.DiscoveryV1Api(web.api).list_namespaced_endpoint_slice(
        web.namespace, label_selector="kubernetes.io/service-name=web"
    )
    (found,) = slices.items
    assert {e.addresses[0] for e in found.endpoints} == {a.ip for a in subset.addresses}


def test_a_forwarded_port_reaches_a_program_that_binds_localhost(kube: Kube):
    program = (
        "import socket; s = socket.create_server(('127.0.0.1', 7000)); c, _ = s.accept(); c.sendall(b'here'); c.close()"
    )
    kube.pod("p", ["python3", "-c", program], "python:3")
    kube.running("p")
    deadline = time.monotonic() + 10
    while True:
        sock = portforward(kube.core.connect_get_namespaced_pod_portforward, "p", kube.namespace, ports="7000").socket(
            7000
        )
        sock.setblocking(True)
        try:
            if (said := sock.recv(10)) == b"here":
                break
        except OSError:
            said = b""
        assert time.monotonic() < deadline, said  # the program had not begun to listen
    assert phase(kube.ended("p")) == "Succeeded"


def test_what_is_not_there_fails_at_once(web: Kube):
    service = {"metadata": {"name": "empty"}, "spec": {"selector": {"app": "none"}, "ports": [{"port": 80}]}}
    web.core.create_namespaced_service(web.namespace, service)
    program = """
import socket, time
for host, port in (("192.0.2.7", 80), ("empty", 80), ("no-such-name", 80), ("web", 81)):
    begun = time.monotonic()
    try:
        with socket.create_connection((host, port), 10) as sock:
            sock.recv(1)
        print(host, "answers")
    except OSError as error:
        print(host, type(error).__name__, time.monotonic() - begun < 1)
"""
    lines = ran(web, "p", program).splitlines()
    assert lines == [
        "192.0.2.7 OSError True",
        "empty ConnectionRefusedError True",
        "no-such-name gaierror True",
        "web ConnectionRefusedError True",
    ]


def test_a_pod_that_comes_back_has_its_old_address(kube: Kube):
    kube.pod("p", ["sleep", "60"])
    first = kube.running("p")["status"]["podIP"]
    kube.core.delete_namespaced_pod("p", kube.namespace, grace_period_seconds=0)
    kube.gone("p")
    kube.pod("p", ["sleep", "60"])
    assert kube.running("p")["status"]["podIP"] == first


def test_containers_of_a_pod_share_localhost(kube: Kube):
    server = "import socket; s = socket.create_server(('127.0.0.1', 80)); c, _ = s.accept(); c.sendall(b'x')"
    asker = """
import socket, time
while True:
    try:
        print(socket.create_connection(("localhost", 80)).recv(1)); break
    except OSError:
        time.sleep(0.05)
"""
    containers = [
        {"name": name, "image": "python:3", "command": ["python3", "-c", text]}
        for name, text in (("server", server), ("main", asker))
    ]
    kube.pod("p", None, containers=containers)
    assert phase(kube.ended("p")) == "Succeeded"
    assert kube.core.read_namespaced_pod_log("p", kube.namespace, container="main") == "b'x'\n"


def test_a_killed_router_is_replaced_and_pods_go_on(kube: Kube):
    kube.pod("before", ["sleep", "60"])
    kube.running("before")
    router = next(p for p in processes_of(kube.folder) if "kubeproc.network.router" in p.cmdline())
    os.kill(router.pid, signal.SIGKILL)
    psutil.wait_procs([router], timeout=5)
    kube.pod("after", ["sleep", "60"])
    kube.running("after")
    assert container(kube.get("before"))["restartCount"] == 0


def test_a_running_pod_with_ports_takes_a_label(kube: Kube) -> None:
    kube.pod("p", ["sleep", "60"], container={"ports": [{"containerPort": 80}]})
    kube.running("p")
    kube.core.patch_namespaced_pod("p", kube.namespace, {"metadata": {"labels": {"new": "label"}}})
    assert kube.get("p")["metadata"]["labels"]["new"] == "label"


def test_a_host_port_leads_to_the_containers_port(kube: Kube) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    program = "import socket; s = socket.create_server(('', 8000)); c, _ = s.accept(); c.sendall(b'here'); c.close()"
    ports = [{"containerPort": 8000, "hostPort": number}]
    kube.pod("p", ["python3", "-c", program], "python:3", container={"ports": ports})
    kube.running("p")
    deadline = time.monotonic() + 10
    while True:
        try:
            with socket.create_connection(("127.0.0.1", number), 5) as sock:
                if sock.recv(10) == b"here":
                    break
        except OSError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)  # the program has not begun to listen
    assert phase(kube.ended("p")) == "Succeeded"
