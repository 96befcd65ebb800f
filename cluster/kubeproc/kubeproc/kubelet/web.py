"""The HTTP client of probes. As upstream, it does not check certificates, and follows redirects.

Its connections come from the caller, who knows in which network the address lies.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import httpcore
import httpx

from kubeproc.kubelet.failure import Failure

Connect = Callable[[str, int], Awaitable[socket.socket]]


async def status(url: str, address: str, headers: dict[str, str], timeout: float, connect: Connect) -> int:
    """The status code of the answer to GET; Failure, with the message of Go's client, if there is no answer."""
    try:
        async with (
            asyncio.timeout(timeout),
            httpx.AsyncClient(transport=_Transport(connect), timeout=timeout, trust_env=False) as client,
        ):
            answer = await client.get(url, headers=headers, follow_redirects=True)
            return answer.status_code
    except (TimeoutError, httpx.TimeoutException, httpcore.TimeoutException):
        words = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        raise Failure(f'Get "{url}": {words}') from None
    except (httpx.ConnectError, httpcore.ConnectError):
        raise Failure(f'Get "{url}": dial tcp {address}: connect: connection refused') from None
    except (httpx.HTTPError, httpcore.ProtocolError, httpcore.NetworkError, httpx.InvalidURL, ValueError) as error:
        raise Failure(f'Get "{url}": {error}') from None  # ValueError: a header that is not ASCII


class _Transport(httpx.AsyncBaseTransport):
    """One connection for each request."""

    def __init__(self, connect: Connect) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.pool = httpcore.AsyncConnectionPool(
            context, max_keepalive_connections=0, network_backend=_Backend(connect)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        asked = httpcore.Request(
            request.method, url, headers=request.headers.raw, extensions={"timeout": request.extensions["timeout"]}
        )
        found = await self.pool.handle_async_request(asked)
        try:
            body = b"".join([part async for part in found.stream])  # type: ignore[union-attr]
        finally:
            await found.aclose()
        return httpx.Response(found.status, headers=found.headers, content=body)

    async def aclose(self) -> None:
        await self.pool.aclose()


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, connect: Connect) -> None:
        self.connect = connect

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            return _Stream(*await asyncio.open_connection(sock=await self.connect(host, port)))
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return await self.reader.read(max_bytes)
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self.writer.write(buffer)
            await self.writer.drain()
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            await self.writer.start_tls(ssl_context, server_hostname=server_hostname)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        return self.writer.get_extra_info({"ssl_object": "ssl_object", "socket": "socket"}.get(info, info))
