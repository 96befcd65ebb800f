"""A watch over a websocket: each event is a text message, and the end of the watch closes the connection.

The watch itself is that of `watch`, an ASGI response. This module adapts the two protocols: it turns the response's
lines into messages, and the client's disconnect into the end of a request. Source: apiserver's
pkg/endpoints/handlers/watch.go (HandleWS).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

Message = MutableMapping[str, Any]
Answer = Callable[[Request], Awaitable[ASGIApp]]


async def serve(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    """Run `answer`, the handler of a watch, for a websocket client."""
    assert (await receive())["type"] == "websocket.connect"
    accepted = False
    rest = b""

    async def receive_http() -> Message:
        while (await receive())["type"] != "websocket.disconnect":
            pass  # a watch ignores messages
        return {"type": "http.disconnect"}

    async def send_websocket(message: Message) -> None:
        nonlocal accepted, rest
        if message["type"] == "http.response.start" and message["status"] == 200:
            accepted = True
            await send({"type": "websocket.accept"})
        elif not accepted:
            await send({**message, "type": f"websocket.{message['type']}"})
        else:
            *lines, rest = (rest + message.get("body", b"")).split(b"\n")
            for line in lines:
                await send({"type": "websocket.send", "text": line.decode()})
            if not message.get("more_body"):
                await send({"type": "websocket.close"})

    request = Request({**scope, "type": "http", "method": "GET"}, receive_http, send_websocket)
    response = await answer(request)
    await response(request.scope, receive_http, send_websocket)
