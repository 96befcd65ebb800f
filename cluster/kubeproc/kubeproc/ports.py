"""Host ports for pods and Services: one range, each port given to one holder at a time.

Pods of one machine share its network, so a containerPort needs a host port of its own. A port counts as taken while any
stored object names it (a pod's hostPort, the annotation `labkit.dev/ports` of a Service or TFJob) and while a process
outside the cluster listens there, which a trial bind detects. The search starts at random and continues after the last
port it allocated, so that it avoids ports that were just freed or that a second cluster just took.
"""

from __future__ import annotations

import json
import random
import socket
from collections import Counter
from pathlib import Path
from weakref import WeakKeyDictionary

from kubeproc.api_errors import ApiError
from kubeproc.resources import PODS, SERVICES, TFJOBS, Resource
from kubeproc.store import Event, Object, Store

ANNOTATION = "labkit.dev/ports"
FIRST, DEFAULT_LAST = 20_000, 32_767
HOLDERS = (PODS, SERVICES, TFJOBS)


def range_of_ports() -> range:
    """From 20000 (or 10000, if the kernel's ephemeral ports begin below 20000) to the start of the ephemeral ports."""
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
        end = int(text.split()[0])
    except (OSError, ValueError, IndexError):
        end = DEFAULT_LAST + 1
    return range(FIRST, end) if end - FIRST >= 1000 else range(10_000, FIRST)


def held(resource: Resource, obj: Object) -> set[int]:
    """The host ports that a stored object holds."""
    if resource is PODS:
        if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return set()
        containers = [*(obj["spec"].get("initContainers") or ()), *obj["spec"]["containers"]]
        return {p["hostPort"] for c in containers for p in c.get("ports") or () if p.get("hostPort")}
    if resource in (SERVICES, TFJOBS):
        return set(recorded(obj).values())
    return set()


def recorded(obj: Object) -> dict[str, int]:
    """The annotation's content: `{"80": 20031}` for a Service, `{"worker-0": 20017}` for a TFJob."""
    text = (obj["metadata"].get("annotations") or {}).get(ANNOTATION)
    try:
        ports = json.loads(text) if text else {}
        return {str(k): int(v) for k, v in ports.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def write(obj: Object, ports: dict[str, int]) -> None:
    """Put the ports into the object's annotation, or remove the annotation if there are none."""
    annotations = dict(obj["metadata"].get("annotations") or {})
    if ports:
        annotations[ANNOTATION] = json.dumps(ports, separators=(",", ":"))
    else:
        annotations.pop(ANNOTATION, None)
    if annotations or "annotations" in obj["metadata"]:
        obj["metadata"]["annotations"] = annotations


class Register:
    """The ports that the objects of one store hold, kept up to date by its events."""

    def __init__(self, store: Store) -> None:
        self.range = range_of_ports()
        self.next = random.choice(self.range)
        self.count: Counter[int] = Counter()
        for resource in HOLDERS:
            for obj in store.list(resource):
                self.count.update(held(resource, obj))
        store.watch(self.hear)

    def hear(self, event: Event) -> None:
        if event.resource not in HOLDERS:
            return
        if event.previous is not None:
            self.count.subtract(held(event.resource, event.previous))
        if event.type != "DELETED":
            self.count.update(held(event.resource, event.object))

    def take(self, count: int) -> list[int]:
        found: list[int] = []
        for _ in range(len(self.range)):
            if len(found) == count:
                break
            port, self.next = self.next, self.next + 1 if self.next + 1 in self.range else self.range[0]
            if self.count[port] <= 0 and free(port):
                found.append(port)
        if len(found) < count:
            where = f"{self.range[0]}-{self.range[-1]}"
            raise ApiError(507, "InsufficientStorage", f"fewer than {count} free ports are left in {where}")
        return found


_registers: WeakKeyDictionary[Store, Register] = WeakKeyDictionary()


def free(port: int) -> bool:
    """Whether the TCP port is free on this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True


def taken(store: Store, port: int) -> bool:
    """Whether an object of the store holds the port."""
    with store.lock:
        return _register(store).count[port] > 0


def _register(store: Store) -> Register:
    if store not in _registers:
        _registers[store] = Register(store)
    return _registers[store]


def allocate(store: Store, count: int) -> list[int]:
    """`count` different ports that no object of the store holds and no process listens on."""
    with store.lock:
        return _register(store).take(count)
