"""The API as one ASGI application: authentication, routing, and a `Status` for every failure.

The routes of objects come first, since they serve nearly every request; they match only paths that name a kind of the
cluster, so they hide no other route. An unknown path is a 404, in one of upstream's two forms.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from kubeproc import tls
from kubeproc.api.rest import absent, answer, attributes, auth, health, objects, reviews
from kubeproc.api.rest.listing import Pages
from kubeproc.api.rest.targets import GROUPS, split
from kubeproc.api.rest.watch import Hub
from kubeproc.api.schema import discovery, openapi
from kubeproc.api.streams import pod_streams
from kubeproc.api_errors import ApiError, bad_request
from kubeproc.folder import ClusterFolder
from kubeproc.rbac.authorizer import Authorizer
from kubeproc.rbac.rules import Attributes
from kubeproc.store import Store, dump

log = logging.getLogger(__name__)

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


class OtherApi(Protocol):
    """Another API at the same address, such as the Argo Server's; it authorizes its own requests."""

    @property
    def routes(self) -> Sequence[BaseRoute]: ...

    def serves(self, path: str) -> bool:
        """Whether the path belongs to this API."""
        ...


def build(store: Store, home: Path, lifespan: Lifespan | None = None, others: Sequence[OtherApi] = ()) -> Starlette:
    """The application over `store`; `home` is the cluster's folder, whose credentials must exist."""
    tls.save_memory()
    folder = ClusterFolder(home)
    app = Starlette(
        routes=_routes(others), lifespan=lifespan, exception_handlers={ApiError: _failed, HTTPException: _http}
    )
    app.state.store, app.state.home = store, home
    app.state.hub, app.state.pages, app.state.heard = Hub(), Pages(), pod_streams.Heard()
    accounts = auth.Authenticator(folder, store.uid)
    app.state.accounts = accounts
    app.state.authorizer = Authorizer(store)
    app.add_middleware(Gate, accounts=accounts, authorizer=app.state.authorizer, others=others)
    return app


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _routes(others: Sequence[OtherApi]) -> list[BaseRoute]:
    parts = (objects, health, discovery, openapi, pod_streams, reviews)
    own = [route for part in parts for route in part.routes]
    known = [*own, *(route for other in others for route in other.routes)]
    rest = "/{path:path}"
    return [*known, Route(rest, _unknown, methods=list(METHODS)), WebSocketRoute(rest, _not_by_websocket)]


async def _not_by_websocket(_: WebSocket) -> None:
    raise bad_request("only watches, exec, attach and port-forward are served over a websocket: send a plain request")


async def _unknown(request: Request) -> Response:
    group, version, rest = split(request.url.path)
    if hint := absent.hint(group, rest):
        response = status_response(ApiError(404, "NotFound", hint))
        if group == "autoscaling":  # kubectl autoscale shows a later error instead of this one, but prints warnings
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
    """The error that Starlette itself raises: a method that no route has."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return status_response(objects.not_allowed())
    return PlainTextResponse(f"{error.status_code} {error.detail}\n", error.status_code)


class Gate:
    """Authenticates each request, authorizes those of Kubernetes' API, and answers every failure with a `Status`.

    Another API authorizes its own requests: the Argo Server does so in terms of the workflows behind a path."""

    def __init__(
        self, app: ASGIApp, accounts: auth.Authenticator, authorizer: Authorizer, others: Sequence[OtherApi]
    ) -> None:
        self.app, self.accounts, self.authorizer, self.others = app, accounts, authorizer, others

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
            if not any(other.serves(scope["path"]) for other in self.others):
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
