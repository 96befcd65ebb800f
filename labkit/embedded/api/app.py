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
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from labkit.embedded import tls
from labkit.embedded.api import absent, answer, attributes, auth, discovery, health, objects, openapi, reviews, streams
from labkit.embedded.api.lists import Pages
from labkit.embedded.api.targets import GROUPS, split
from labkit.embedded.api.watch import Hub
from labkit.embedded.argo import server
from labkit.embedded.rbac.authorizer import Authorizer
from labkit.embedded.rbac.rules import Attributes
from labkit.embedded.status import ApiError
from labkit.embedded.store import Store, dump
from labkit.paths import ClusterFolder

log = logging.getLogger(__name__)

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def build(store: Store, home: Path, lifespan: Lifespan | None = None) -> Starlette:
    """The application over `store`; `home` is the cluster's folder, whose credentials must have been prepared."""
    tls.save_memory()
    folder = ClusterFolder(home)
    app = Starlette(routes=_routes(), lifespan=lifespan, exception_handlers={ApiError: _failed, HTTPException: _http})
    app.state.store, app.state.home = store, home
    app.state.hub, app.state.pages, app.state.heard = Hub(), Pages(), streams.Heard()
    accounts = auth.Authenticator(folder, store.uid)
    app.state.accounts = accounts
    app.state.authorizer = Authorizer(store)
    app.add_middleware(Gate, accounts=accounts, authorizer=app.state.authorizer)
    return app


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _routes() -> list[BaseRoute]:
    parts = (objects, health, discovery, openapi, streams, reviews, server)
    known = [route for part in parts for route in part.routes]
    return [*known, Route("/{path:path}", _unknown, methods=list(METHODS))]


async def _unknown(request: Request) -> Response:
    group, version, rest = split(request.url.path)
    if hint := absent.hint(group, rest):
        response = status_response(ApiError(404, "NotFound", hint))
        if group == "autoscaling":  # kubectl autoscale drops the answer, and shows what failed after it
            response.headers.append(*answer.warning([hint])[0])
        return response
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
    """Nobody comes in without a token or does what they may not, and no failure leaves but as a `Status`.

    What the Argo Server answers to it asks about itself, in terms of the workflows behind it."""

    def __init__(self, app: ASGIApp, accounts: auth.Authenticator, authorizer: Authorizer) -> None:
        self.app, self.accounts, self.authorizer = app, accounts, authorizer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        begun = False

        async def watched_send(message: dict) -> None:  # type: ignore[type-arg]
            nonlocal begun
            begun = True
            await send(message)

        try:
            scope.setdefault("state", {})["user"] = user = self._user(scope)
            if not server.serves(scope["path"]):
                query = QueryParams(scope["query_string"])
                self._check(user, attributes.attributes(scope.get("method", "GET"), scope["path"], query))
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
        headers = Headers(scope=scope)
        try:
            user = self.accounts.authenticate(headers.get("authorization", ""))
        except ApiError:
            public = attributes.attributes("GET", scope["path"], {})
            if public.path and self.authorizer.decide(auth.ANONYMOUS, public).allowed:
                return auth.ANONYMOUS
            raise
        if other := auth.impersonated(headers):
            for needed in other[1]:
                self._check(user, needed)
            return other[0]
        return user

    def _check(self, user: auth.User, wanted: Attributes) -> None:
        if not self.authorizer.decide(user, wanted).allowed:
            raise attributes.forbidden(user.name, wanted)


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await response(scope, receive, send)
    elif "websocket.http.response" in scope.get("extensions", {}):
        await response(scope, receive, send)  # starlette prefixes the message types for a websocket
    else:
        await send({"type": "websocket.close", "code": 1008})
