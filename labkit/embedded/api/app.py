"""The API as one ASGI application: who asks, which route answers, and every failure as a `Status`.

The routes of objects stand first, since nearly every request is theirs; they match only paths that name a kind of the
cluster, so nothing else is hidden by them. What no route knows is 404 in the two forms upstream has.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from labkit.embedded import tls
from labkit.embedded.api import auth, discovery, health, objects, openapi, reviews, streams
from labkit.embedded.api.lists import Pages
from labkit.embedded.api.targets import GROUPS, split
from labkit.embedded.api.watch import Hub
from labkit.embedded.argo import server
from labkit.embedded.resources import SERVICEACCOUNTS
from labkit.embedded.status import ApiError
from labkit.embedded.store import Store, dump
from labkit.paths import ClusterFolder

log = logging.getLogger(__name__)

OPEN = frozenset({"/healthz", "/livez", "/readyz", "/version"})  # no token needed, as upstream's public-info-viewer

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def build(store: Store, home: Path, lifespan: Lifespan | None = None) -> Starlette:
    """The application over `store`; `home` is the cluster's folder, whose credentials must have been prepared."""
    tls.save_memory()
    folder = ClusterFolder(home)
    app = Starlette(routes=_routes(), lifespan=lifespan, exception_handlers={ApiError: _failed, HTTPException: _http})
    app.state.store, app.state.home = store, home
    app.state.hub, app.state.pages = Hub(), Pages()
    accounts = auth.Authenticator(folder, lambda ns, name: store.raw(SERVICEACCOUNTS, ns, name) is not None)
    app.state.accounts = accounts
    app.add_middleware(Gate, accounts=accounts)
    return app


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _routes() -> list[BaseRoute]:
    parts = (objects, health, discovery, openapi, streams, reviews, server)
    known = [route for part in parts for route in part.routes]
    return [*known, Route("/{path:path}", _unknown, methods=list(METHODS))]


async def _unknown(request: Request) -> Response:
    group, version, _ = split(request.url.path)
    if (group, version) in GROUPS:
        raise ApiError(404, "NotFound", "the server could not find the requested resource")
    return PlainTextResponse("404 page not found\n", 404)


def status_response(error: ApiError) -> Response:
    headers = {"Retry-After": str(error.details["retryAfterSeconds"])} if "retryAfterSeconds" in error.details else None
    return Response(dump(error.status()), error.code, headers, "application/json")


async def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return status_response(error)


async def _http(request: Request, error: Exception) -> Response:
    """What starlette itself refuses: a method no route has."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return status_response(objects.not_allowed())
    return PlainTextResponse(f"{error.status_code} {error.detail}\n", error.status_code)


class Gate:
    """Nobody comes in without a token, and no failure leaves but as a `Status`."""

    def __init__(self, app: ASGIApp, accounts: auth.Authenticator) -> None:
        self.app, self.accounts = app, accounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        begun = False

        async def watched_send(message: dict) -> None:  # type: ignore[type-arg]
            nonlocal begun
            begun = True
            await send(message)

        try:
            scope.setdefault("state", {})["user"] = self._user(scope)
            await self.app(scope, receive, watched_send)  # type: ignore[arg-type]
        except ApiError as error:
            await _refuse(status_response(error), scope, receive, send)
        except Exception as error:
            if begun:
                raise
            log.exception("%s %s", scope.get("method", "websocket"), scope["path"])
            failure = ApiError(500, "InternalError", f"Internal error occurred: {error}")
            await _refuse(status_response(failure), scope, receive, send)

    def _user(self, scope: Scope) -> auth.User:
        try:
            return self.accounts.authenticate(Headers(scope=scope).get("authorization", ""))
        except ApiError:
            if scope["path"].rstrip("/") in OPEN or scope["path"].startswith(("/livez/", "/readyz/")):
                return auth.ANONYMOUS
            raise


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await response(scope, receive, send)
    elif "websocket.http.response" in scope.get("extensions", {}):
        await response(scope, receive, send)  # starlette prefixes the message types for a websocket
    else:
        await send({"type": "websocket.close", "code": 1008})
