"""The executor's calls to the API: retried while the server is unavailable, and safe to repeat.

Mechanism. A request that gets no response, or a retriable one (429, 502, 503, 504), is sent again with increasing
delays until `PATIENCE` has passed; any other response is final: JSON, or an ApiError with the server's message. A
request whose connection broke may still have been executed, so a caller that creates an object must handle its
existence: `Answer.repeated` means that an earlier attempt got no response.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubeproc.api_errors import ApiError

if TYPE_CHECKING:
    import httpx

Object = dict[str, Any]

PATIENCE = 120.0  # seconds for which a server may be unavailable
LATER = (429, 502, 503, 504)
FIRST, LONGEST = 0.05, 2.0  # seconds between two attempts


@dataclass(frozen=True)
class Answer:
    body: Object
    repeated: bool


def error_of(response: httpx.Response) -> ApiError:
    """The ApiError in an error response."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    if isinstance(body, dict) and body.get("kind") == "Status":
        return ApiError(
            body.get("code") or response.status_code, body.get("reason", ""), body["message"], body.get("details")
        )
    return ApiError(response.status_code, "", response.text.strip() or f"HTTP {response.status_code}")


async def attempt(api: httpx.AsyncClient, method: str, path: str, **options: Any) -> Answer:
    """Send a request until it gets a final response. ApiError if the response is an error, or if none came in time."""
    import httpx  # imported here: the server imports this module as well, but makes no calls

    deadline = time.monotonic() + PATIENCE
    pause, repeated = FIRST, False
    while True:
        try:
            response = await api.request(method, path, **options)
        except (httpx.TransportError, OSError) as error:  # the latter when the token can't be fetched
            failure = ApiError(503, "ServiceUnavailable", f"{method} {path}: {error or type(error).__name__}")
            repeated = True
        else:
            if response.is_success:
                return Answer(response.json(), repeated)
            failure = error_of(response)
            if response.status_code not in LATER:
                failure.details["repeated"] = repeated
                raise failure
        if time.monotonic() + pause > deadline:
            raise failure
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST)


async def call(api: httpx.AsyncClient, method: str, path: str, **options: Any) -> Object:
    """`attempt`, for callers that don't care whether the request was repeated."""
    return (await attempt(api, method, path, **options)).body


async def find(api: httpx.AsyncClient, path: str) -> Object | None:
    """The object at `path`; None if it does not exist."""
    try:
        return await call(api, "GET", path)
    except ApiError as error:
        if error.code == 404:
            return None
        raise


async def upsert(api: httpx.AsyncClient, collection: str, obj: Object) -> Object:
    """Create the object, or merge it into the one of that name."""
    try:
        return await call(api, "POST", collection, json=obj)
    except ApiError as error:
        if error.code != 409:
            raise
    path = f"{collection}/{obj['metadata']['name']}"
    merge = {"Content-Type": "application/merge-patch+json"}
    return await call(api, "PATCH", path, json=obj, headers=merge)
