"""The server's client for the kubelet's HTTP API over its unix socket: a streaming GET and a websocket.

The GET is written by hand (a request line, headers, chunks): it is the server's only use of an HTTP client, and an HTTP
client would take more memory than all of the server's objects.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from kubeproc import embedder
from kubeproc.api_errors import ApiError

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

Query = list[tuple[str, str]]

REASONS = {400: "BadRequest", 404: "NotFound", 403: "Forbidden", 409: "Conflict"}
AWAY = "the kubelet does not answer, so the cluster's pods can't be reached"
LIMIT = 1 << 16
LONGEST = 100  # bytes; an address of a unix socket has 104 on macOS, 108 on Linux


def _away(error: Exception) -> ApiError:
    return ApiError(503, "ServiceUnavailable", f"{AWAY}; `{embedder.current().up}` starts it again ({error})")


def _refused(code: int, body: bytes | bytearray) -> ApiError:
    text = body.decode(errors="replace").strip() or f"the kubelet answered {code}"
    return ApiError(code, REASONS.get(code, "InternalError"), text)


def _dial(path: Path) -> socket.socket:
    """A connection to a unix socket, by its file name only if the whole path is too long for an address."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)  # don't block on a kubelet that hangs with a full backlog
    try:
        if len(os.fsencode(path)) < LONGEST:
            sock.connect(str(path))
        else:
            here = os.getcwd()
            os.chdir(path.parent)
            try:
                sock.connect(path.name)
            finally:
                os.chdir(here)
    except OSError as error:
        sock.close()
        raise _away(error) from None
    return sock


@asynccontextmanager
async def get(address: Path, path: str, query: Query) -> AsyncIterator[AsyncIterator[bytes]]:
    """The body of a GET, streamed; ApiError with the kubelet's message for any status except 200, 503 if there is no
    kubelet."""
    reader, writer = await asyncio.open_unix_connection(sock=_dial(address), limit=LIMIT)
    try:
        target = f"{path}?{urlencode(query)}"
        writer.write(f"GET {target} HTTP/1.1\r\nHost: kubelet\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        except (asyncio.IncompleteReadError, OSError) as error:
            raise _away(error) from None
        code = int(head[0].split()[1])
        headers = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        chunks = _body(reader, "chunked" in headers.get("transfer-encoding", ""))
        if code != 200:
            raise _refused(code, b"".join([chunk async for chunk in chunks]))
        yield chunks
    finally:
        writer.close()


async def _body(reader: asyncio.StreamReader, chunked: bool) -> AsyncIterator[bytes]:
    """The bytes after the headers, until the connection closes; a broken connection ends the body."""
    try:
        while not chunked:
            data = await reader.read(LIMIT)
            if not data:
                return
            yield data
        while size := int((await reader.readline()).partition(b";")[0] or b"0", 16):
            while size:
                data = await reader.read(min(size, LIMIT))
                if not data:
                    return
                size -= len(data)
                yield data
            await reader.readexactly(2)
    except (asyncio.IncompleteReadError, OSError, ValueError):
        return


async def connect(address: Path, path: str, query: Query, protocol: str) -> ClientConnection:
    """An open websocket; ApiError as for `get` if the kubelet rejects it."""
    from websockets.asyncio.client import connect as open_websocket
    from websockets.exceptions import InvalidHandshake, InvalidStatus
    from websockets.typing import Subprotocol

    uri = f"ws://kubelet{path}?{urlencode(query)}"
    try:
        return await open_websocket(
            uri,
            sock=_dial(address),
            subprotocols=[Subprotocol(protocol)],
            max_size=None,
            compression=None,
            ping_interval=None,
            proxy=None,
        )
    except InvalidStatus as error:
        raise _refused(error.response.status_code, error.response.body or b"") from None
    except (OSError, InvalidHandshake) as error:
        raise _away(error) from None
