"""OpenAPI v3: what `kubectl explain`, `apply`, `diff`, `edit` and `create` read to know the kinds' fields.

`/openapi/v3` lists one document for each group version with a hash of its content in the address, so that clients keep
them for ever. The documents are files below the cluster's folder, made at the first question by another process
(`openapi_build`) and never parsed here. The folder's name depends on all that goes into them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sys
from importlib.metadata import version
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from kubeproc import upstream
from kubeproc.api_errors import ApiError
from kubeproc.resources import RESOURCES
from kubeproc.store import dump

log = logging.getLogger(__name__)

MODULE = "kubeproc.api.schema.openapi_build"
SOURCES = ("openapi_build.py", "discovery.py")
PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
PROTOBUF_SENT = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"  # an @ is not allowed in an answer's type
FOR_EVER = {"cache-control": "public, immutable", "vary": "Accept"}

_building = asyncio.Lock()


def folder(home: Path) -> Path:
    """Where this version's documents are, below the cluster's folder."""
    digest = hashlib.sha256(repr([list(RESOURCES.values()), version("kubernetes-validate")]).encode())
    for path in [*(Path(__file__).with_name(name) for name in SOURCES), *upstream.files()]:
        digest.update(path.read_bytes())
    return home / "cache" / f"openapi-{digest.hexdigest()[:12]}"


async def documents(request: Request) -> tuple[Path, dict[str, str]]:
    """The folder of the documents and their hashes, made when they aren't there yet."""
    state = request.app.state
    found = getattr(state, "openapi", None)
    if found is None:
        async with _building:
            where = folder(state.home)
            index = where / "index.json"
            if not index.exists():
                await _build(where)
            found = state.openapi = where, json.loads(index.read_bytes())
    return found


async def _build(where: Path) -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", MODULE, str(where), stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
    )
    _, errors = await process.communicate()
    if process.returncode:
        text = errors.decode(errors="replace").strip()
        log.error("%s failed: %s", MODULE, text)
        last = text.splitlines()[-1] if text else f"exit code {process.returncode}"
        raise ApiError(500, "InternalError", f"Internal error occurred: the OpenAPI documents can't be made: {last}")


async def index(request: Request) -> Response:
    _, hashes = await documents(request)
    paths = {path: {"serverRelativeURL": _address(path, digest)} for path, digest in hashes.items()}
    return Response(dump({"paths": paths}), media_type="application/json")


def _address(path: str, digest: str) -> str:
    return f"/openapi/v3/{path}?hash={digest}"


async def document(request: Request) -> Response:
    where, hashes = await documents(request)
    path = request.path_params["path"].rstrip("/")
    digest = hashes.get(path)
    if digest is None:
        raise ApiError(404, "NotFound", "the server could not find the requested resource")
    asked = request.query_params.get("hash")
    if asked and asked != digest:
        return RedirectResponse(_address(path, digest), 301)
    headers = (FOR_EVER if asked else {"vary": "Accept"}) | {"etag": f'"{digest}"'}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    content = (where / f"{path.replace('/', '_')}.json").read_bytes()
    return Response(content, media_type="application/json", headers=headers)


async def version_2(request: Request) -> Response:
    """An OpenAPI v2 document without a kind: clients that find nothing in v3 look here and must find no failure."""
    if PROTOBUF in request.headers.get("accept", ""):
        return Response(b"\x0a\x032.0\x12\x0f\x0a\x0aKubernetes\x12\x011", media_type=PROTOBUF_SENT)
    info = {"title": "Kubernetes", "version": "1"}
    return Response(
        dump({"swagger": "2.0", "info": info, "paths": {}, "definitions": {}}), media_type="application/json"
    )


routes: list[Route] = [
    Route("/openapi/v2", version_2),
    Route("/openapi/v3", index),
    Route("/openapi/v3/", index),
    Route("/openapi/v3/{path:path}", document),
]
