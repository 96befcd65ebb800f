"""The Argo Server's artifact routes: artifacts are streamed, never loaded into memory.

An artifact is identified by its workflow, its node's id, its name and whether it is an input or an output; a folder
that is stored unpacked is listed, and its files have paths below it. As upstream, failures are plain text.
"""

from __future__ import annotations

import html
import mimetypes
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from kubeproc.api_errors import ApiError
from kubeproc.argo.executor import artifacts, repository
from kubeproc.argo.executor.locations import secret_value
from kubeproc.argo.executor.task import TaskError
from kubeproc.argo.server import grpc
from kubeproc.argo.server.grpc import NOT_FOUND, Refusal
from kubeproc.resources import SECRETS, WORKFLOWS
from kubeproc.store import Store

Object = dict[str, Any]

POLICY = "sandbox; base-uri 'none'; default-src 'none'; img-src 'self'; style-src 'self' 'unsafe-inline'"
SAFE = {"Content-Security-Policy": POLICY, "X-Frame-Options": "SAMEORIGIN"}


def plain(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """A handler whose failures are plain text."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except (Refusal, ApiError, TaskError) as error:
            failed = grpc.refusal(error)
            status = grpc.HTTP[failed.code]
            return PlainTextResponse(f"{grpc.PHRASES[status]}: {failed.message}\n", status)

    return answered


def _workflow(request: Request) -> Object:
    parameters, store = request.path_params, request.app.state.store
    if uid := parameters.get("uid"):
        match = [w for w in store.list(WORKFLOWS) if w["metadata"]["uid"] == uid]
        if not match:
            raise Refusal(NOT_FOUND, f'workflow with uid "{uid}" not found')
        found: Object = match[0]
    else:
        found = store.get(WORKFLOWS, parameters["namespace"], parameters["name"])
    meta = found["metadata"]
    grpc.allow(request, "get", WORKFLOWS, meta["namespace"], meta["name"])
    return found


def _artifact(workflow: Object, node: str, side: str, name: str) -> Object:
    nodes = (workflow.get("status") or {}).get("nodes") or {}
    if node not in nodes:
        raise Refusal(NOT_FOUND, f"was not able to retrieve node {node}")
    for artifact in (nodes[node].get(side) or {}).get("artifacts") or []:
        if artifact["name"] == name:
            return artifact
    raise Refusal(NOT_FOUND, f"artifact not found: {name}, isInput={str(side == 'inputs').lower()}")


async def _place(request: Request, workflow: Object, artifact: Object) -> tuple[artifacts.Place, str]:
    namespace, store = workflow["metadata"]["namespace"], request.app.state.store
    status = (workflow.get("status") or {}).get("artifactRepositoryRef")
    located = artifacts.relocated(artifact, repository.location(status))

    async def secret(name: str, key: str) -> str:
        return secret_value(_secret(store, namespace, name), key)

    folder = request.app.state.home / "artifacts" / namespace
    return await artifacts.place(located, folder, folder, secret), artifacts.key_of(located)


def _secret(store: Store, namespace: str, name: str) -> Object:
    return store.get(SECRETS, namespace, name)


def _headers(key: str) -> dict[str, str]:
    kind, encoding = mimetypes.guess_type(key)
    media = "application/gzip" if encoding == "gzip" else kind or "application/octet-stream"
    name = re.sub(r"[^ !#-~]", "_", PurePosixPath(key).name)
    return SAFE | {"Content-Type": media, "Content-Disposition": f'filename="{name}"'}


async def _content(place: artifacts.Place, key: str) -> Response:
    """The file at `key`; its first chunk is read before the response starts, so that a failure still gets an error
    status."""
    pieces = place.stream(key)
    first = await anext(pieces, b"")

    async def body() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return StreamingResponse(body(), headers=_headers(key))


async def _serve(request: Request, side: str, below: str = "") -> Response:
    parameters = request.path_params
    workflow = _workflow(request)
    artifact = _artifact(workflow, parameters["node"], side, parameters["artifact"])
    if (raw := (artifact.get("raw") or {}).get("data")) is not None:
        return Response(raw, headers=_headers(artifact["name"]))
    place, key = await _place(request, workflow, artifact)
    if below:
        key = f"{key}/{below}"
    if isinstance(place, artifacts.Folder) and place.path(key).is_dir():
        return _listing(request, place, key)
    return await _content(place, key)


def _listing(request: Request, place: artifacts.Folder, key: str) -> Response:
    if not request.url.path.endswith("/"):
        return RedirectResponse(request.url.path + "/", 307)
    names = sorted(p.name + ("/" if p.is_dir() else "") for p in place.path(key).iterdir())
    if "index.html" in names:
        return RedirectResponse(request.url.path + "index.html", 307)
    items = "".join(f'<li><a href="./{quote(n)}">{html.escape(n)}</a></li>\n' for n in names)
    page = f'<html><body><ul>\n<li><a href="..">..</a></li>\n{items}</ul></body></html>'
    return HTMLResponse(page, headers=SAFE)


@plain
async def output(request: Request) -> Response:
    return await _serve(request, "outputs")


@plain
async def input_(request: Request) -> Response:
    return await _serve(request, "inputs")


@plain
async def file(request: Request) -> Response:
    side = request.path_params["side"]
    if side not in ("inputs", "outputs"):
        raise Refusal(grpc.INVALID, f"{side} is neither inputs nor outputs")
    return await _serve(request, side, request.path_params.get("file", "").strip("/"))


ROOTS = ("/artifacts/", "/input-artifacts/", "/artifacts-by-uid/", "/input-artifacts-by-uid/", "/artifact-files/")
routes = [
    Route("/artifacts/{namespace}/{name}/{node}/{artifact}", output),
    Route("/input-artifacts/{namespace}/{name}/{node}/{artifact}", input_),
    Route("/artifacts-by-uid/{uid}/{node}/{artifact}", output),
    Route("/input-artifacts-by-uid/{uid}/{node}/{artifact}", input_),
    Route("/artifact-files/{namespace}/workflows/{name}/{node}/{side}/{artifact}", file),
    Route("/artifact-files/{namespace}/workflows/{name}/{node}/{side}/{artifact}/{file:path}", file),
]
