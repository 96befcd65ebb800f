"""The server's side of websockets, which accepts subprotocol names with a slash.

kubectl asks for `SPDY/3.1+portforward.k8s.io`. A token can't contain a slash (RFC 6455 4.1, RFC 9110 5.6.2), so a
strict library rejects the whole handshake with 400. Here the application chooses the subprotocol, so the library need
not parse the names.
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

    async def send(self, message: Any) -> None:
        """A rejection completes the handshake, too. uvicorn does not record that, and would log each one as an
        error."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True


class Lenient(ServerProtocol):
    """A protocol for uvicorn to instantiate; it only checks less."""

    def process_subprotocol(self, headers: Headers) -> None:
        return None
