"""exec, attach and port-forward over a websocket: each message begins with the number of its channel."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from kubeproc.kubelet import pipes, probes
from kubeproc.kubelet.container import Container
from kubeproc.kubelet.kubelet import Kubelet
from kubeproc.kubelet.pod_worker import Pod
from kubeproc.network.client import dial
from kubeproc.runtime.launch import Process, SpawnError

Object = dict[str, Any]
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
EXEC_PROTOCOL, FORWARD_PROTOCOL = "v5.channel.k8s.io", "v4.channel.k8s.io"
SUCCESS: Object = {"metadata": {}, "status": "Success"}
AHEAD = 64  # messages that a program may be ahead of its client
BEHIND = 1024  # messages that an attached client may be behind
BLOCK = 32 * 1024

Handler = Callable[["Kubelet", "Pod", WebSocket], Awaitable[None]]


def handler(kubelet: Kubelet, work: Handler) -> Callable[[WebSocket], Awaitable[None]]:
    """A websocket endpoint that looks up the pod and calls `work`."""

    async def endpoint(websocket: WebSocket) -> None:
        pod = kubelet.pods.get(websocket.query_params.get("uid", ""))
        if pod is None:
            words = f'pod "{websocket.path_params["pod"]}" is not running'
            await websocket.send_denial_response(PlainTextResponse(words, 404))
            return
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await work(kubelet, pod, websocket)

    return endpoint


class Output:
    """Sends the output of programs in order, and pauses the programs when the client is slow."""

    def __init__(self, websocket: WebSocket) -> None:
        self.websocket = websocket
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.pumps: list[pipes.Pump] = []

    def put(self, channel: int, data: bytes) -> None:
        self.queue.put_nowait(bytes([channel]) + data)
        if self.queue.qsize() > AHEAD:
            for pump in self.pumps:
                pump.pause()

    async def send(self) -> None:
        """Send until `None` is queued."""
        while (message := await self.queue.get()) is not None:
            await self.websocket.send_bytes(message)
            if self.queue.qsize() < AHEAD // 2:
                for pump in self.pumps:
                    pump.resume()


def _running(pod: Pod, websocket: WebSocket) -> tuple[Container, Process] | None:
    name = websocket.path_params["container"]
    for container in pod.containers:
        if container.name == name and isinstance(container.process, Process):
            return container, container.process
    return None


async def execute(kubelet: Kubelet, pod: Pod, websocket: WebSocket) -> None:
    query = websocket.query_params
    found = _running(pod, websocket)
    if found is None:
        words = f'container not found ("{websocket.path_params["container"]}")'
        await websocket.send_denial_response(PlainTextResponse(words, 404))
        return
    command, tty = query.getlist("command"), query.get("tty") == "true"
    wants_stdin = query.get("stdin") == "true"
    await websocket.accept(subprotocol=EXEC_PROTOCOL)
    try:
        process = await kubelet.runtime.exec(found[1], command, tty=tty, stdin=wants_stdin)
    except SpawnError as error:
        words = f"error executing command in container: {error}"
        failure = _failure("InternalError", f"Internal error occurred: {words}", [{"message": words}])
        await _finish(websocket, failure | {"code": 500})
        return
    output = Output(websocket)
    channels = [(STDOUT, process.stdout), (STDERR, process.stderr)]
    output.pumps = [pipes.Pump(fd, functools.partial(output.put, c)) for c, fd in channels if fd is not None]
    sending = asyncio.create_task(output.send())
    reading = asyncio.create_task(_read(websocket, process))
    ending = asyncio.create_task(process.wait())
    try:
        await asyncio.wait({ending, reading, sending}, return_when="FIRST_COMPLETED")
        if not ending.done() and reading.done():  # the client has gone
            process.kill(signal.SIGKILL)
        ended = await ending
        await asyncio.wait([pump.done for pump in output.pumps], timeout=pipes.DRAIN)
        output.queue.put_nowait(None)
        await sending
        code = ended.code if ended.signal is None else 128 + ended.signal
        await _finish(websocket, SUCCESS if code == 0 else _exit(code))
    finally:
        for task in (sending, reading, ending):
            task.cancel()
        if not ending.done():
            process.kill(signal.SIGKILL)
        for pump in output.pumps:
            pump.close()
        process.close_stdin()


async def attach(kubelet: Kubelet, pod: Pod, websocket: WebSocket) -> None:
    found = _running(pod, websocket)
    if found is None:
        words = f'container not found ("{websocket.path_params["container"]}")'
        await websocket.send_denial_response(PlainTextResponse(words, 404))
        return
    container, process = found
    await websocket.accept(subprotocol=EXEC_PROTOCOL)
    output = Output(websocket)
    channels = {"stdout": STDOUT, "stderr": STDERR}

    sending = asyncio.create_task(output.send())

    def tap(stream: str, data: bytes) -> None:
        output.put(channels[stream], data)
        if output.queue.qsize() > BEHIND:
            sending.cancel()  # the program does not wait, so a client that does not read is disconnected

    container.taps.add(tap)
    reading = asyncio.create_task(_read(websocket, process, close=bool(container.spec.get("stdinOnce"))))
    ending = asyncio.create_task(process.wait())
    try:
        await asyncio.wait({ending, reading, sending}, return_when="FIRST_COMPLETED")
        if ending.done():
            await asyncio.sleep(0)
            output.queue.put_nowait(None)
            await sending
            await _finish(websocket, SUCCESS)  # for any exit code, which the pod's status reports
    finally:
        container.taps.discard(tap)
        for task in (sending, reading, ending):
            task.cancel()


async def _read(websocket: WebSocket, process: Process, close: bool = True) -> None:
    """Pass the client's input to the program until the client disconnects."""
    try:
        while True:
            message = await websocket.receive_bytes()
            channel, data = (message[0], message[1:]) if message else (None, b"")
            if channel == STDIN and process.stdin is not None and data:
                with contextlib.suppress(OSError):
                    await pipes.write(process.stdin, data)
            elif channel == CLOSE and data[:1] == bytes([STDIN]):
                process.close_stdin()
            elif channel == RESIZE and process.launch.tty:
                with contextlib.suppress(ValueError, KeyError, OSError):
                    size = json.loads(data)
                    process.resize(size["Height"], size["Width"])
    except (WebSocketDisconnect, KeyError):
        if close:
            process.close_stdin()


def _failure(reason: str, message: str, causes: list[Object]) -> Object:
    return {
        "metadata": {},
        "status": "Failure",
        "reason": reason,
        "message": message,
        "details": {"causes": causes},
    }


def _exit(code: int) -> Object:
    message = f"command terminated with non-zero exit code: exit status {code}"
    return _failure("NonZeroExitCode", message, [{"reason": "ExitCode", "message": str(code)}])


async def _finish(websocket: WebSocket, status: Object) -> None:
    await websocket.send_bytes(bytes([ERROR]) + json.dumps(status).encode())
    await websocket.close(1000)


async def forward(kubelet: Kubelet, pod: Pod, websocket: WebSocket) -> None:
    """Connect the client to ports of the pod, by one connection for each requested port."""
    ports = [int(port) for port in websocket.query_params.getlist("ports") if port.isdigit()]
    if not ports:
        await websocket.send_denial_response(PlainTextResponse("at least one port is required", 400))
        return
    await websocket.accept(subprotocol=FORWARD_PROTOCOL)
    writers: dict[int, asyncio.StreamWriter] = {}
    copies: list[asyncio.Task[None]] = []
    for n, port in enumerate(ports):
        number = port.to_bytes(2, "little")
        for channel in (2 * n, 2 * n + 1):
            await websocket.send_bytes(bytes([channel]) + number)
        try:
            sock = await (pod.sandbox.connect(port) if pod.sandbox else dial("127.0.0.1", _host_port(pod, port)))
            reader, writers[2 * n] = await asyncio.open_connection(sock=sock)
        except OSError as error:
            words = f"error forwarding port {port} to pod {pod.uid}: connect: {error.strerror or error}"
            await websocket.send_bytes(bytes([2 * n + 1]) + words.encode())
            continue
        copies.append(asyncio.create_task(_copy(reader, websocket, 2 * n)))
    reading = asyncio.create_task(_feed(websocket, writers))
    try:
        copying = asyncio.create_task(_all(copies))
        await asyncio.wait({reading, copying}, return_when="FIRST_COMPLETED")
        if not reading.done():
            await websocket.close(1000)
    finally:
        for task in (reading, *copies):
            task.cancel()
        for writer in writers.values():
            writer.close()


def _host_port(pod: Pod, port: int) -> int:
    for container in pod.containers:
        found = probes.port_of(container.spec, port, own=False)
        if found != port:
            return found
    return port


async def _all(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks)


async def _copy(reader: asyncio.StreamReader, websocket: WebSocket, channel: int) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(BLOCK):
            await websocket.send_bytes(bytes([channel]) + data)


async def _feed(websocket: WebSocket, writers: dict[int, asyncio.StreamWriter]) -> None:
    while True:
        message = await websocket.receive_bytes()
        if message and message[0] in writers:
            writer = writers[message[0]]
            with contextlib.suppress(OSError):
                writer.write(message[1:])
                await writer.drain()
