"""The kubelet's client of the API server: HTTPS with the cluster's CA and the kubelet's token, like any other client.

A watch yields a list, then the changes after it, for as long as the caller iterates. When the server dies and comes back, the
watch lists again and yields another `SYNC`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from kubeproc.kubelet.connection import Pool

Object = dict[str, Any]
log = logging.getLogger("kubelet")


class Refused(Exception):
    """The server answered with an error: the HTTP `code`, and the Status' `reason` and `message`."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message


Unreachable = (OSError,)  # the server is down, until the kubelet restarts it


@dataclass
class Change:
    """One event of a watch: ADDED, MODIFIED, DELETED with `object`; SYNC with the list's `objects`."""

    type: str
    object: Object
    objects: list[Object]


class Api:
    def __init__(self, port: int, ca: str, token: str) -> None:
        self.pool = Pool(port, ca, token)

    def close(self) -> None:
        self.pool.close()

    async def request(self, method: str, path: str, body: Any = None, *, type: str = "", **params: str) -> Object:
        """Return the answer's JSON. Raises Refused for an error, and one of `Unreachable` while the server is down."""
        content = json.dumps(body, separators=(",", ":")).encode() if body is not None else None
        answer = await self.pool.request(method, path, params, content, type or "application/json")
        if answer.status >= 400:
            raise _refused(answer.status, answer.body)
        return json.loads(answer.body)

    async def get(self, path: str, **params: str) -> Object:
        return await self.request("GET", path, **params)

    async def find(self, path: str) -> Object | None:
        """The object, or None if it does not exist."""
        try:
            return await self.get(path)
        except Refused as error:
            if error.code == 404:
                return None
            raise

    async def create(self, path: str, obj: Object) -> Object:
        return await self.request("POST", path, obj)

    async def patch(self, path: str, operations: list[Object]) -> Object:
        """Apply a JSON patch."""
        return await self.request("PATCH", path, operations, type="application/json-patch+json")

    async def merge(self, path: str, change: Object) -> Object:
        """Apply a merge patch."""
        return await self.request("PATCH", path, change, type="application/merge-patch+json")

    async def delete(self, path: str, options: Object) -> None:
        await self.request("DELETE", path, options)

    async def watch(self, path: str, **params: str) -> AsyncIterator[Change]:
        """Yield the objects, then every change of them, until the caller stops."""
        delay = 0.05
        while True:
            try:
                listed = await self.get(path, **params)
                kind = {"apiVersion": listed.get("apiVersion"), "kind": listed.get("kind", "").removesuffix("List")}
                yield Change("SYNC", {}, [kind | item for item in listed.get("items") or ()])
                version = listed["metadata"]["resourceVersion"]
                delay = 0.05
                async for change in self._follow(path, version, params):
                    yield change
            except Unreachable as error:
                log.debug("watch of %s: %r", path, error)
            except Refused as error:
                if error.code not in (410, 429) and error.code < 500:
                    log.warning("watch of %s: %s", path, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 2)

    async def _follow(self, path: str, version: str, params: dict[str, str]) -> AsyncIterator[Change]:
        status, connection = await self.pool.stream(path, params | {"watch": "true", "resourceVersion": version})
        rest = b""
        try:
            async for piece in connection.pieces():
                rest += piece
                if status >= 400:
                    continue
                *lines, rest = rest.split(b"\n")
                for line in filter(None, lines):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        failure = event["object"]
                        raise Refused(failure.get("code", 500), failure.get("reason", ""), failure.get("message", ""))
                    if event["type"] != "BOOKMARK":
                        yield Change(event["type"], event["object"], [])
        finally:
            connection.close()
        if status >= 400:
            raise _refused(status, rest)


def _refused(code: int, body: bytes) -> Refused:
    try:
        status = json.loads(body)
        return Refused(code, status.get("reason", ""), status.get("message", ""))
    except (ValueError, AttributeError):
        return Refused(code, "", body[:200].decode(errors="replace"))
