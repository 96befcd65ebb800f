"""Probes: check periodically whether a container has started, is alive, and is ready."""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import Callable
from typing import Any

from kubeproc.kubelet import pipes
from kubeproc.kubelet.container_context import ContainerContext
from kubeproc.kubelet.failure import Failure
from kubeproc.runtime.launch import Process

Object = dict[str, Any]
Unhealthy = Callable[[str, Object], None]
KINDS = {"startup": "startupProbe", "liveness": "livenessProbe", "readiness": "readinessProbe"}
OUTPUT = 10 * 1024  # bytes of a probe's output that an event shows


def port_of(container: Object, port: int | str, own: bool) -> int:
    """The port of a containerPort given by name or number, in the pod's `own` network or the host's; an undeclared number stays
    unchanged."""
    for declared in container.get("ports") or ():
        if port in (declared.get("name"), declared["containerPort"]) or str(port) == str(declared["containerPort"]):
            number: int = declared["containerPort"]
            return number if own else declared.get("hostPort") or number
    if str(port).isdigit():
        return int(port)
    raise Failure(f"couldn't find port: {port} in {container['name']}")


async def act(action: Object, container: ContainerContext, timeout: float) -> None:
    """Execute the action of a probe or hook once; Failure if it does not succeed within `timeout` seconds."""
    if command := (action.get("exec") or {}).get("command"):
        await _exec(command, container, timeout)
    elif "httpGet" in action:
        await _http(action["httpGet"], container, timeout)
    elif "tcpSocket" in action:
        await _tcp(action["tcpSocket"], container, timeout)
    elif "sleep" in action:
        await asyncio.sleep(action["sleep"].get("seconds", 0))
    else:
        raise Failure("missing probe handler")


async def _exec(command: list[str], container: ContainerContext, timeout: float) -> None:
    try:
        code, output = await _run(command, container, timeout)
    except TimeoutError:
        raise Failure(f"command timed out: {shlex.join(command)!r} timed out after {timeout:g}s") from None
    except Exception as error:
        raise Failure(f"{error}") from error
    if code != 0:
        raise Failure(output.decode(errors="replace"))  # no output gives an empty reason, as on a real node


async def _run(command: list[str], container: ContainerContext, timeout: float) -> tuple[int, bytes]:
    """Run `command` in the container. Returns the exit code and the first OUTPUT bytes; raises TimeoutError."""
    if not isinstance(container.process, Process):
        raise RuntimeError(f'container not found ("{container.name}")')
    process = await container.pod.shared.runtime.exec(container.process, command, stdin=False)
    output = bytearray()
    streams = {fd for fd in (process.stdout, process.stderr) if fd is not None}
    pumps = [pipes.Pump(fd, lambda data: output.extend(data[: OUTPUT - len(output)])) for fd in streams]
    try:
        async with asyncio.timeout(timeout):
            ended = await process.wait()
            await asyncio.wait([pump.done for pump in pumps], timeout=pipes.DRAIN)
    except TimeoutError:
        process.kill(signal.SIGKILL)
        raise
    finally:
        for pump in pumps:
            pump.close()
    return (ended.code if ended.signal is None else 128 + ended.signal), bytes(output)


async def _http(spec: Object, container: ContainerContext, timeout: float) -> None:
    port = port_of(container.spec, spec["port"], container.pod.own_network)
    host = spec.get("host") or container.pod.address
    path = spec.get("path") or "/"
    url = f"{spec.get('scheme', 'HTTP').lower()}://{host}:{port}{path if path.startswith('/') else '/' + path}"
    headers = {"User-Agent": "kube-probe/1.34", "Accept": "*/*"}
    headers |= {h["name"]: h.get("value", "") for h in spec.get("httpHeaders") or ()}
    from kubeproc.kubelet.web import status  # an HTTP client is loaded when the first probe needs one

    code = await status(url, f"{host}:{port}", headers, timeout, container.pod.connect)
    if not 200 <= code < 400:
        raise Failure(f"HTTP probe failed with statuscode: {code}")


async def _tcp(spec: Object, container: ContainerContext, timeout: float) -> None:
    pod = container.pod
    host, port = spec.get("host") or pod.address, port_of(container.spec, spec["port"], pod.own_network)
    try:
        async with asyncio.timeout(timeout):
            (await pod.connect(host, port)).close()
    except TimeoutError:
        raise Failure(f"dial tcp {host}:{port}: i/o timeout") from None
    except OSError:
        raise Failure(f"dial tcp {host}:{port}: connect: connection refused") from None


async def watch(container: ContainerContext, unhealthy: Unhealthy) -> None:
    """Probe a container that has just started, until this is cancelled. Startup and liveness probes that fail call
    `unhealthy(kind, probe)`."""
    if probe := container.spec.get("startupProbe"):
        await _repeat("startup", probe, container, unhealthy)
    container.has_started()
    probes = [(kind, container.spec.get(KINDS[kind])) for kind in ("liveness", "readiness")]
    if not container.spec.get("readinessProbe"):
        container.is_ready(True)
    async with asyncio.TaskGroup() as group:
        for kind, probe in probes:
            if probe:
                group.create_task(_repeat(kind, probe, container, unhealthy))


async def _repeat(kind: str, probe: Object, container: ContainerContext, unhealthy: Unhealthy) -> None:
    """Repeat one probe. Returns when a startup probe has succeeded, or after a failure that kills the container."""
    successes = failures = 0
    loop = asyncio.get_running_loop()
    due = loop.time() + (probe.get("initialDelaySeconds") or 0)
    while True:
        await asyncio.sleep(max(due - loop.time(), 0))
        due = max(loop.time(), due) + (probe.get("periodSeconds") or 10)
        try:
            await act(probe, container, probe.get("timeoutSeconds") or 1)
        except Failure as failure:
            successes, failures = 0, failures + 1
            container.event("Warning", "Unhealthy", f"{kind.capitalize()} probe failed: {failure}")
            if failures < (probe.get("failureThreshold") or 3):
                continue
            if kind == "readiness":
                container.is_ready(False)
            else:
                unhealthy(kind, probe)
                return
        else:
            successes, failures = successes + 1, 0
            if kind == "startup":
                return
            if kind == "readiness" and successes >= (probe.get("successThreshold") or 1):
                container.is_ready(True)
