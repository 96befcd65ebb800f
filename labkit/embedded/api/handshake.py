"""The server's side of websockets, which takes subprotocols with a slash in their names.

kubectl asks for `SPDY/3.1+portforward.k8s.io`. A slash is no character of a token (RFC 6455 4.1, RFC 9110 5.6.2), and a
strict library answers 400 to the whole handshake. Which subprotocol is taken is the application's decision here, so the
library need not parse them at all.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.server import ServerProtocol


class WebSocketProtocol(WebSocketsSansIOProtocol):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn.__class__ = Lenient


class Lenient(ServerProtocol):
    """uvicorn makes the protocol itself; this one only decides less."""

    def process_subprotocol(self, headers: Headers) -> None:
        return None
