"""`kubectl port-forward`: SPDY inside a websocket on one side, connections to a pod's ports on the other.

kubectl opens one websocket (subprotocol `SPDY/3.1+portforward.k8s.io`) and, for each connection that it accepts, a pair
of streams in it whose headers name the port and a request: an error stream, which kubectl half-closes at once and on
which it receives errors, and a data stream. Where pods share the host's network the server connects to the host port that
admission allocated, after it checks that the pod still runs; where they have their own, the kubelet lends it connections.

A stream whose program does not read blocks the whole websocket once `AHEAD` bytes are queued for it, as upstream.
Sources: kubelet's pkg/cri/streaming/portforward (pairs, texts), client-go's tools/portforward (the other side).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from kubeproc.api.streams import spdy
from kubeproc.network import lending

PROTOCOL = "SPDY/3.1+portforward.k8s.io"
ADDRESS = "127.0.0.1"
AHEAD = 1 << 20  # bytes
BLOCK = 1 << 16  # bytes per read, and per frame
PAIR_SECONDS = 30.0

FindPod = Callable[[], Mapping[str, Any] | None]


class Refused(Exception):
    """A connection that failed, with the message for the error stream."""


@dataclass
class Inbox:
    """Data received for a stream and not yet passed to the program; None marks the end."""

    parts: deque[bytes | None] = field(default_factory=deque)
    size: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, data: bytes | None) -> None:
        self.parts.append(data)
        self.size += len(data or b"")
        self.changed.set()

    async def take(self) -> bytes | None:
        while not self.parts:
            self.changed.clear()
            await self.changed.wait()
        data = self.parts.popleft()
        self.size -= len(data or b"")
        self.room.set()
        return data

    async def wait(self) -> None:
        """Wait until at most AHEAD bytes are queued, or nothing reads them any more."""
        while self.size > AHEAD:
            self.room.clear()
            await self.room.wait()

    def drop(self) -> None:
        self.parts.clear()
        self.size = 0
        self.room.set()


@dataclass
class Pair:
    """The two streams of one request, by number; 0 for one that has not arrived yet."""

    port: int
    streams: dict[str, int]
    inbox: Inbox = field(default_factory=Inbox)
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Forwarding:
    """One websocket of kubectl's, for the pod that `find` returns (None once it is gone)."""

    def __init__(self, socket: WebSocket, uid: str, find: FindPod, lender: Path | None = None) -> None:
        """`lender` is the kubelet's socket of `network.lending`, where pods have a network of their own."""
        self.socket, self.uid, self.find, self.lender = socket, uid, find, lender
        self.reader, self.writer = spdy.Reader(), spdy.Writer()
        self.sending = asyncio.Lock()
        self.requests: dict[str, Pair] = {}
        self.data: dict[int, Pair] = {}
        self.last = 0

    async def run(self) -> None:
        """Serve until the client disconnects; then all its connections are closed."""
        await self.socket.accept(PROTOCOL)
        try:
            while (message := await self.socket.receive())["type"] != "websocket.disconnect":
                for frame in self.reader.feed(message.get("bytes") or b""):
                    if isinstance(frame, spdy.GoAway):
                        return
                    await self._take(frame)
        except spdy.ProtocolError:
            await self._send(spdy.GoAway(self.last, 1))
        except (WebSocketDisconnect, RuntimeError):
            return  # the client disconnected during a send
        finally:
            await self._end()

    async def _end(self) -> None:
        tasks = [pair.task for pair in self.requests.values() if pair.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self.socket.close()

    async def _send(self, frame: spdy.Frame) -> None:
        async with self.sending:  # headers are compressed in the order in which they are sent
            await self.socket.send_bytes(self.writer.encode(frame))

    async def _take(self, frame: spdy.Frame) -> None:
        match frame:
            case spdy.Ping(number) if number % 2:
                await self._send(frame)
            case spdy.SynStream():
                await self._open(frame)
            case spdy.Data(stream, data, fin) if pair := self.data.get(stream):
                if data:
                    pair.inbox.put(data)
                if fin:
                    pair.inbox.put(None)
                await pair.inbox.wait()
            case spdy.RstStream(stream) if (pair := self.data.get(stream)) and pair.task:
                pair.task.cancel()

    async def _open(self, frame: spdy.SynStream) -> None:
        kind, port = frame.headers.get("streamtype", ""), frame.headers.get("port", "")
        if frame.stream <= self.last or not frame.stream % 2:
            return await self._send(spdy.RstStream(frame.stream, spdy.PROTOCOL_ERROR))
        self.last = frame.stream
        if kind not in ("error", "data") or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            return await self._send(spdy.RstStream(frame.stream, spdy.CANCEL))
        await self._send(spdy.SynReply(frame.stream, {}))
        # old clients send no requestid: the data stream follows the error stream
        request = frame.headers.get("requestid") or str(frame.stream - (2 if kind == "data" else 0))
        pair = self.requests.get(request)
        if pair is None:
            pair = self.requests[request] = Pair(int(port), {"error": 0, "data": 0})
            pair.task = asyncio.create_task(self._serve(request, pair))
        if pair.streams[kind]:
            words = f"error processing stream for request {request}: {kind} stream already assigned"
            return await self._fail(pair, words)
        pair.streams[kind] = frame.stream
        if kind == "data":
            self.data[frame.stream] = pair
            if frame.fin:
                pair.inbox.put(None)
        if all(pair.streams.values()):
            pair.complete.set()
        return None

    async def _fail(self, pair: Pair, words: str) -> None:
        if pair.streams["error"]:
            await self._send(spdy.Data(pair.streams["error"], words.encode()))

    async def _serve(self, request: str, pair: Pair) -> None:
        """Serve one connection."""
        try:
            async with asyncio.timeout(PAIR_SECONDS):
                await pair.complete.wait()
            await self._forward(pair)
            for kind in ("data", "error"):
                await self._send(spdy.Data(pair.streams[kind], b"", fin=True))
        except TimeoutError:
            await self._fail(pair, f"(request={request}) timed out waiting for streams")
        except Refused as error:
            await self._fail(pair, f"error forwarding port {pair.port} to pod {self.uid}, uid : {error}")
            for kind in ("data", "error"):
                await self._send(spdy.RstStream(pair.streams[kind], spdy.CANCEL))
        except (WebSocketDisconnect, RuntimeError):
            pass  # the websocket's reader gets the same error
        except asyncio.CancelledError:
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._send(spdy.Data(pair.streams["error"], b"", fin=True))
        finally:
            pair.inbox.drop()
            self.requests.pop(request, None)
            self.data.pop(pair.streams["data"], None)

    async def _forward(self, pair: Pair) -> None:
        reader, writer = await self._connect(pair.port)
        up = asyncio.create_task(_feed(pair.inbox, writer))
        try:
            while data := await reader.read(BLOCK):
                await self._send(spdy.Data(pair.streams["data"], data))
        except OSError:
            pass  # the program reset the connection: end the client's stream
        finally:
            up.cancel()
            await asyncio.gather(up, return_exceptions=True)
            writer.transport.abort() if up.cancelled() else writer.close()

    async def _connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        pod = self.find()
        if pod is None or pod["metadata"]["uid"] != self.uid or pod["status"].get("phase") in ("Succeeded", "Failed"):
            raise Refused(f'sandbox container "{self.uid}" is not running')
        try:
            if self.lender and pod["status"].get("podIP") != ADDRESS:
                return await asyncio.open_connection(sock=await lending.borrow(self.lender, self.uid, port))
            return await asyncio.open_connection(ADDRESS, host_port(pod, port))
        except OSError as error:
            why = os.strerror(error.errno).lower() if error.errno else str(error)
            where = f'failed to connect to localhost:{port} inside namespace "{self.uid}"'
            raise Refused(f"{where}, IPv4: dial tcp4 127.0.0.1:{port}: connect: {why}") from None


def host_port(pod: Mapping[str, Any], port: int) -> int:
    """The host port of a container's port; a port that no container declares maps to itself."""
    for container in pod["spec"].get("containers") or ():
        for declared in container.get("ports") or ():
            if declared["containerPort"] == port:
                return declared.get("hostPort") or port
    return port


async def _feed(inbox: Inbox, writer: asyncio.StreamWriter) -> None:
    """Pass the client's data to the program, and its end too; the other direction continues."""
    try:
        while (data := await inbox.take()) is not None:
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        while await inbox.take() is not None:  # the program no longer reads; its last output is still sent
            pass
