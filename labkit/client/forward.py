"""How this process reaches a Service: by its environment in a pod, by the port it already has on this host, or by a
forwarded port, through the API server, that lives as long as the process."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from labkit.client.connection import ACCOUNT, api
from labkit.client.connection import namespace as own_namespace
from labkit.client.objects import known
from labkit.errors import LabError

PORTS = "labkit.dev/ports"  # Service port -> port on this host, where the cluster's Services are proxied locally
_forwards: dict[tuple[str, str, str, int], str] = {}  # by the cluster's address and the Service


def address(service: str, port: int | None = None, namespace: str | None = None) -> str:
    """`HOST:PORT` at which this process reaches the Service, its first port unless one is named. LabError where there is
    no such Service or nothing behind it."""
    prefix = service.upper().replace("-", "_")
    here = namespace is None and port is None  # the environment has the first ports of the pod's own namespace
    if here and f"{prefix}_SERVICE_PORT" in os.environ and (ACCOUNT / "token").exists():
        return f"{os.environ[f'{prefix}_SERVICE_HOST']}:{os.environ[f'{prefix}_SERVICE_PORT']}"
    space = namespace or own_namespace()
    found = _service(service, space)
    number = port or found["spec"]["ports"][0]["port"]
    local = json.loads((found["metadata"].get("annotations") or {}).get(PORTS, "{}"))
    if str(number) in local:
        return f"127.0.0.1:{local[str(number)]}"
    key = (api().configuration.host, space, service, number)
    if key not in _forwards:
        _forwards[key] = _serve(service, space, number).address
    return _forwards[key]


@contextmanager
def forward(service: str, port: int | None = None, namespace: str | None = None) -> Iterator[str]:
    """`HOST:PORT` of a port forwarded to one ready pod of the Service, for as long as the block runs."""
    space = namespace or own_namespace()
    number = port or _service(service, space)["spec"]["ports"][0]["port"]
    tunnel = _serve(service, space, number)
    try:
        yield tunnel.address
    finally:
        tunnel.close()


def _service(name: str, namespace: str) -> dict[str, Any]:
    from kubernetes.client import ApiException, CoreV1Api

    try:
        answer = CoreV1Api(api()).read_namespaced_service(name, namespace, _preload_content=False)
    except ApiException as error:
        if error.status == 404:
            raise LabError(
                f"there is no Service {name} in the namespace {namespace}", known("service", name, namespace)
            ) from error
        raise
    found: dict[str, Any] = json.loads(answer.data)
    return found


def _endpoint(service: str, namespace: str, port: int) -> tuple[str, int]:
    """(pod, container port) of a ready pod behind the Service's port."""
    from kubernetes.client import CoreV1Api

    core = CoreV1Api(api())
    found = _service(service, namespace)
    wanted = next((p for p in found["spec"]["ports"] if p["port"] == port), None)
    if wanted is None:
        ports = ", ".join(str(p["port"]) for p in found["spec"]["ports"])
        raise LabError(f"Service {service} has no port {port}", f"its ports: {ports}")
    selector = ",".join(f"{k}={v}" for k, v in (found["spec"].get("selector") or {}).items())
    for pod in core.list_namespaced_pod(namespace, label_selector=selector).items:
        ready = any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or [])
        if not ready or pod.metadata.deletion_timestamp:
            continue
        target = wanted.get("targetPort", port)
        for container in pod.spec.containers:
            for declared in container.ports or []:
                if declared.name == target:
                    target = declared.container_port
        if isinstance(target, int):
            return pod.metadata.name, target
    raise LabError(
        f"no pod behind Service {service} is ready",
        f"`kubectl get pods -l {selector}` shows the pods that it selects, and `kubectl describe pod NAME` why one is not ready",
    )


class _Tunnel:
    """A listener on 127.0.0.1; each connection is one port-forward through the API server to one ready pod."""

    def __init__(self, service: str, namespace: str, port: int) -> None:
        self.target = (service, namespace, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        host, number = self.listener.getsockname()[:2]
        self.address = f"{host}:{number}"
        threading.Thread(target=self._accept, daemon=True, name=f"forward-{service}").start()

    def close(self) -> None:
        with suppress(OSError):  # where it is an error it isn't needed
            self.listener.shutdown(socket.SHUT_RDWR)  # a thread that waits in accept() would keep it open
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        from kubernetes.client import ApiException, CoreV1Api
        from kubernetes.stream import portforward

        try:
            pod, port = _endpoint(*self.target)
            forwarded = portforward(
                CoreV1Api(api()).connect_get_namespaced_pod_portforward, pod, self.target[1], ports=str(port)
            )
        except (ApiException, LabError):
            near.close()  # as a Service without endpoints does
            return
        far = forwarded.socket(port)
        back = threading.Thread(target=_copy, args=(far, near), daemon=True)
        back.start()
        _copy(near, far)
        back.join()
        near.close()


def _copy(source: Any, sink: Any) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            sink.close()


def _serve(service: str, namespace: str, port: int) -> _Tunnel:
    _endpoint(service, namespace, port)  # fail now, with words, rather than at the first connection
    return _Tunnel(service, namespace, port)
