"""A small HTTP/1.1 client over TLS: small requests, whole answers, and watches. The kubelet sends ten requests for each pod.

A pool keeps idle connections, and drops one that the server closes. Failures are OSErrors: the server is away, and the caller
decides when to try again.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlencode

import httptools

from kubeproc import tls

TIMEOUT, CONNECT = 30.0, 5.0  # seconds for an answer, for a connection
IDLE = 64  # idle connections that are kept, so that a burst of pods needs no new handshakes


@dataclass
class Answer:
    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """One connection, which carries one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.closed = False
        self.reusable = False
        self._parser = httptools.HttpResponseParser(self)
        self._answered: asyncio.Future[None] | None = None
        self._pieces: list[bytes] = []
        self._stream: asyncio.Queue[bytes] | None = None

    # -- asyncio's calls -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed, self.reusable = True, False
        self._tell(ConnectionResetError("the API server closed the connection"))

    # -- the parser's calls --------------------------------------------------------------------------------------------

    def on_headers_complete(self) -> None:
        if self._stream is not None:
            self._tell(None)

    def on_body(self, data: bytes) -> None:
        if self._stream is not None:
            self._stream.put_nowait(data)
        else:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        self.reusable = self._stream is None and self._parser.should_keep_alive() and not self.closed
        self._tell(None)

    # -- requests ------------------------------------------------------------------------------------------------------

    def _tell(self, error: Exception | None) -> None:
        """Wake the task that waits for an answer or for the next piece of a stream (an empty piece ends it)."""
        if self._answered and not self._answered.done():
            if error:
                self._answered.set_exception(error)
            else:
                self._answered.set_result(None)
                return
        if self._stream is not None:
            self._stream.put_nowait(b"")

    async def send(self, request: bytes, stream: bool = False) -> Answer:
        """Send a request and return the whole answer; of a stream only the status, since `pieces` yields the rest."""
        self.reusable = False
        self._parser = httptools.HttpResponseParser(self)
        self._pieces, self._stream = [], asyncio.Queue() if stream else None
        self._answered = asyncio.get_running_loop().create_future()
        if self.transport is None or self.closed:
            raise ConnectionResetError("the connection is closed")
        self.transport.write(request)
        async with asyncio.timeout(TIMEOUT):
            await self._answered
        return Answer(self._parser.get_status_code(), b"".join(self._pieces))

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the pieces of a stream until its end."""
        assert self._stream is not None
        while piece := await self._stream.get():
            yield piece

    def close(self) -> None:
        if self.transport:
            self.transport.abort()


class Pool:
    """Connections to one server."""

    def __init__(self, port: int, ca: str, token: str) -> None:
        tls.save_memory()
        self.port = port
        self.context = ssl.create_default_context(cafile=ca)
        self._fixed = (
            f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n".encode()
        )
        self._idle: list[Connection] = []

    async def request(self, method: str, path: str, params: dict[str, str], body: bytes | None, type: str) -> Answer:
        connection = await self._take()
        try:
            return await connection.send(self._encode(method, path, params, body, type))
        finally:
            if connection.reusable and len(self._idle) < IDLE:
                self._idle.append(connection)
            else:
                connection.close()

    async def stream(self, path: str, params: dict[str, str]) -> tuple[int, Connection]:
        """The status of the answer, and the connection that yields its pieces; the caller closes it."""
        connection = await self._open()
        try:
            answer = await connection.send(self._encode("GET", path, params, None, ""), stream=True)
        except BaseException:
            connection.close()
            raise
        return answer.status, connection

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        return await self._open()

    async def _open(self) -> Connection:
        async with asyncio.timeout(CONNECT):
            loop = asyncio.get_running_loop()
            _, made = await loop.create_connection(Connection, "127.0.0.1", self.port, ssl=self.context)
        return made

    def _encode(self, method: str, path: str, params: dict[str, str], body: bytes | None, type: str) -> bytes:
        target = f"{path}?{urlencode(params)}" if params else path
        head = f"{method} {target} HTTP/1.1\r\n".encode() + self._fixed
        if body is None:
            return head + b"\r\n"
        return head + f"Content-Type: {type}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
