"""Responses in the form of the Argo Server: gRPC errors behind an HTTP gateway, and objects as Go prints them.

A failure has a gRPC code; the HTTP status follows from it. A streaming call wraps results in `{"result": ...}` and
failures in `{"error": ...}`, one per line, or as server-sent events if the client asks for them. Objects have no kind
and apiVersion, and an unset time is null, as in the output of Go's typed clients.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from kubeproc.api.rest import attributes
from kubeproc.api_errors import ApiError
from kubeproc.argo.executor.task import TaskError
from kubeproc.rbac.rules import Attributes
from kubeproc.resources import Resource
from kubeproc.store import dump

Object = dict[str, Any]

CANCELLED, UNKNOWN, INVALID, DEADLINE, NOT_FOUND, EXISTS, DENIED, EXHAUSTED = 1, 2, 3, 4, 5, 6, 7, 8
UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 12, 13, 14, 16
HTTP = {CANCELLED: 408, UNKNOWN: 500, INVALID: 400, DEADLINE: 504, NOT_FOUND: 404, EXISTS: 409, DENIED: 403,
        EXHAUSTED: 429, UNIMPLEMENTED: 501, INTERNAL: 500, UNAVAILABLE: 503, UNAUTHENTICATED: 401}  # fmt: skip
PHRASES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout",
           409: "Conflict", 429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented",
           503: "Service Unavailable", 504: "Gateway Timeout"}  # fmt: skip
FROM_HTTP = {400: INVALID, 401: UNAUTHENTICATED, 403: DENIED, 404: NOT_FOUND, 408: CANCELLED, 409: EXISTS,
             429: EXHAUSTED, 500: INTERNAL, 501: UNIMPLEMENTED, 503: UNAVAILABLE, 504: DEADLINE}  # fmt: skip


class Refusal(Exception):
    """A failed call: gRPC `code` and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def refusal(error: Exception) -> Refusal:
    """A failure of the store or of the repository as a failed call."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, TaskError):
        return Refusal(NOT_FOUND if error.missing else INTERNAL, error.message)
    assert isinstance(error, ApiError)
    return Refusal(FROM_HTTP.get(error.code, INTERNAL if error.code >= 500 else INVALID), error.message)


Handler = Callable[[Request], Awaitable[Response]]


def call(handler: Handler) -> Handler:
    """A handler whose failures are returned as `{"code": ..., "message": ...}`."""

    @wraps(handler)
    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except (Refusal, ApiError, TaskError) as error:
            failed = refusal(error)
            return respond({"code": failed.code, "message": failed.message}, HTTP[failed.code])

    return answered


def respond(body: Any, status: int = 200) -> Response:
    return Response(dump(body), status, media_type="application/json")


def allow(request: Request, verb: str, resource: Resource, namespace: str = "", name: str = "") -> None:
    """ApiError 403 if the client is not allowed to do that to the resource."""
    user, wanted = request.state.user, Attributes(verb, resource.group, resource.plural, "", namespace, name)
    if not request.app.state.authorizer.decide(user, wanted).allowed:
        raise attributes.forbidden(user.name, wanted)


def friendly(text: str) -> str:
    """A text as a valid label value."""
    return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9]+$", "", re.sub(r"[^-_.A-Za-z0-9]", "-", text)[-63:])


def shown(obj: Object) -> Object:
    """An object as the Argo Server shows it."""
    found = {k: v for k, v in obj.items() if k not in ("kind", "apiVersion")}
    if obj.get("kind", "Workflow") == "Workflow":
        found["status"] = {"startedAt": None, "finishedAt": None} | (obj.get("status") or {})
    return found


def stream(request: Request, results: AsyncIterator[Any]) -> Response:
    """A streaming response of `results`, with a failure as its last line."""
    events = "text/event-stream" in request.headers.get("accept", "")

    def line(body: Object) -> bytes:
        return b"data: " + dump(body) + b"\n\n" if events else dump(body) + b"\n"

    async def lines() -> AsyncIterator[bytes]:
        try:
            async for result in results:
                yield line({"result": result})
        except (Refusal, ApiError, TaskError) as error:
            yield line(failure(refusal(error)))

    return StreamingResponse(lines(), media_type="text/event-stream" if events else "application/json")


def failure(error: Refusal) -> Object:
    status = HTTP[error.code]
    about = {"grpc_code": error.code, "http_code": status, "message": error.message, "http_status": PHRASES[status]}
    return {"error": about}


def streaming(handler: Handler) -> Handler:
    """A handler of a streaming call, which can fail before the stream starts."""

    @wraps(handler)
    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except (Refusal, ApiError, TaskError) as error:
            failed = refusal(error)
            return respond(failure(failed), HTTP[failed.code])

    return answered
