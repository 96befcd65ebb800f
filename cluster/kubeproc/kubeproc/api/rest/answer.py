"""Responses in the form the client asked for: the object, a Table of rows, only its metadata, or YAML.

An object is sent as its stored bytes; only the other forms parse it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from kubeproc.api_errors import ApiError
from kubeproc.resources import Resource
from kubeproc.store import Object, dump

JSON, YAML = "application/json", "application/yaml"


class Form:
    """What `Accept` asks for: `shape` is "" (the object), Table or PartialObjectMetadata."""

    def __init__(self, shape: str, media: str, include: str) -> None:
        self.shape, self.media, self.include = shape, media, include


def form(request: Request) -> Form:
    """The first form in `Accept` that this server supports; ApiError 406 if it supports none of them."""
    include = request.query_params.get("includeObject", "Metadata")
    accept = request.headers.get("accept") or "*/*"
    for part in accept.split(","):
        media, *rest = (p.strip() for p in part.split(";"))
        wanted = dict(p.split("=", 1) for p in rest if "=" in p)
        shape = wanted.get("as", "").removesuffix("List")
        if media in (JSON, "*/*", "application/*") and shape in ("", "Table", "PartialObjectMetadata"):
            return Form(shape, JSON, include)
        if media in (YAML, "application/x-yaml") and not shape:
            return Form("", YAML, include)
    words = "only the following media types are accepted: " + ", ".join((JSON, YAML))
    raise ApiError(406, "NotAcceptable", words)


def warning(texts: Iterable[str]) -> list[tuple[str, str]]:
    """`Warning` headers, which clients print."""
    clean = (re.sub(r"[^\x20-\x7e]", "?", t).replace("\\", "\\\\").replace('"', '\\"') for t in texts)
    return [("warning", f'299 - "{t}"') for t in clean]


def reply(request: Request, content: bytes, status: int = 200, warnings: Sequence[str] = ()) -> Response:
    media = JSON
    if YAML in request.headers.get("accept", "") and form(request).media == YAML:
        import yaml

        content, media = yaml.safe_dump(json.loads(content), sort_keys=False).encode(), YAML
    response = Response(content, status, media_type=media)
    for name, value in warning(warnings):
        response.headers.append(name, value)
    return response


def plain(request: Request, value: Any, status: int = 200, warnings: Sequence[str] = ()) -> Response:
    """Any JSON value, unchanged."""
    return reply(request, dump(value), status, warnings)


def one(
    request: Request, resource: Resource, obj: Object | bytes, status: int = 200, warnings: Sequence[str] = ()
) -> Response:
    """One object, in the form asked for."""
    wanted = form(request)
    if wanted.shape:
        parsed = json.loads(obj) if isinstance(obj, bytes) else obj
        obj = shaped(wanted, resource, parsed)
    return reply(request, obj if isinstance(obj, bytes) else dump(obj), status, warnings)


def many(request: Request, resource: Resource, raws: list[bytes], meta: dict[str, Any]) -> Response:
    """A list with that list metadata, in the form asked for."""
    wanted = form(request)
    if wanted.shape == "Table":
        from kubeproc.api.tables import tables

        table = tables.to_table(resource, [json.loads(r) for r in raws], wanted.include)
        return reply(request, dump(table | {"metadata": meta}))
    if wanted.shape:
        raws = [dump(partial(json.loads(r))) for r in raws]
        head: dict[str, Any] = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta}
    else:
        head = {"kind": resource.kind + "List", "apiVersion": resource.api_version, "metadata": meta}
    return reply(request, dump(head)[:-1] + b',"items":[' + b",".join(raws) + b"]}")


def shaped(wanted: Form, resource: Resource, obj: Object) -> Object:
    """One object as a Table of one row, or as its metadata."""
    if wanted.shape == "Table":
        from kubeproc.api.tables import tables

        return tables.to_table(resource, [obj], wanted.include)
    return partial(obj) if wanted.shape else obj


def partial(obj: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
