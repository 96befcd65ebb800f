"""What a TLS connection that is kept costs the server."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import psutil

CONNECTIONS = 100
LARGEST = 128 * 1024  # bytes each; with asyncio's own buffers it is more than three times as much


def test_a_kept_connection_is_cheap(api_server: Any) -> None:
    server = psutil.Process(api_server.process.pid)
    request = f"GET /version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api_server.token}\r\n\r\n".encode()
    before = server.memory_info().rss
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):
            plain = socket.create_connection(("127.0.0.1", api_server.port))
            secure = stack.enter_context(api_server.context.wrap_socket(plain, server_hostname="127.0.0.1"))
            secure.sendall(request)
            assert secure.recv(65536).startswith(b"HTTP/1.1 200")
        grown = server.memory_info().rss - before
    assert grown < CONNECTIONS * LARGEST
