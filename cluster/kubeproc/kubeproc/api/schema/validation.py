"""What a body must satisfy before admission looks at it: it is an object of the kind, and its fields are the kind's.

Texts and codes are upstream's (apiserver's create, update and patch handlers).
"""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from kubeproc.api.schema import schemas
from kubeproc.api.schema.decoding import Decoder, Unreadable
from kubeproc.api.wire import body
from kubeproc.api_errors import ApiError, bad_request, cause, invalid
from kubeproc.resources import Resource, by_kind
from kubeproc.store import Object


async def read(request: Request, resource: Resource, mode: str) -> tuple[Object, list[str]]:
    """A request's body as an object of `resource`, and what to warn of: see `decoded`."""
    data = await body.read_bytes(request)
    obj, twice = body.decode(data, body.media_type(request), resource.kind)
    return decoded(resource, obj, mode, twice)


def decoded(resource: Resource, obj: Any, mode: str, twice: list[str]) -> tuple[Object, list[str]]:
    """A body's data as an object of `resource`, and warnings. `mode` is Strict (400 on unknown fields), Warn or
    Ignore; `twice` the fields that the body had twice. ApiError 400 for another kind or a wrong type, 422 for the
    latter in a custom resource."""
    if not isinstance(obj, dict) or (resource.custom and not obj):
        raise bad_request(f"the object provided is unrecognized (must be of type {resource.kind}): kind not set")
    kind, version = obj.get("kind") or resource.kind, obj.get("apiVersion") or resource.api_version
    _same_type(resource, kind, version)
    handled = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
    try:
        made, unknown = _decode(resource, obj)
    except Unreadable as error:
        raise bad_request(handled + str(error)) from None
    problems = [f'duplicate field "{f}"' for f in twice] + [f'unknown field "{f}"' for f in unknown]
    if problems and mode == "Strict":
        raise bad_request(handled + "strict decoding error: " + ", ".join(problems))
    return made, problems if mode == "Warn" else []


def patched(resource: Resource, obj: Object, mode: str) -> tuple[Object, list[str]]:
    """The outcome of a patch as an object, and warnings; what doesn't fit is 422 here, as upstream has it."""
    try:
        made, unknown = _decode(resource, obj)
    except Unreadable as error:
        raise _bad_patch(obj, str(error)) from None
    problems = [f'unknown field "{f}"' for f in unknown]
    if problems and mode == "Strict":
        raise _bad_patch(obj, "strict decoding error: " + ", ".join(problems))
    return made, problems if mode == "Warn" else []


def _bad_patch(obj: Object, why: str) -> ApiError:
    words = f"Invalid value: {json.dumps(json.dumps(obj, separators=(',', ':')))}: {why}"
    return ApiError(422, "Invalid", f' "" is invalid: patch: {words}',
                    {"causes": [cause("FieldValueInvalid", "patch", words)]})  # fmt: skip


def _same_type(resource: Resource, kind: Any, version: Any) -> None:
    if (kind, version) == (resource.kind, resource.api_version):
        return
    handled = f'{kind} in version "{str(version).rpartition("/")[2]}" cannot be handled as a {resource.kind}: '
    if not isinstance(kind, str) or not isinstance(version, str) or by_kind(version, kind) is None:
        raise bad_request(handled + f'no kind "{kind}" is registered for version "{version}"')
    if version != resource.api_version:
        words = f"the API version in the data ({version}) does not match the expected API version"
        raise bad_request(f"{words} ({resource.api_version})")
    raise bad_request(handled + f"converting ({resource.version}.{kind}) to ({resource.kind}): unknown conversion")


def _decode(resource: Resource, obj: Any) -> tuple[Object, list[str]]:
    decoder = Decoder(resource.custom)
    made = decoder.decode(schemas.of(resource), obj)
    made["apiVersion"], made["kind"] = resource.api_version, resource.kind
    made["metadata"] = made.get("metadata") or {}
    if decoder.causes:
        raise invalid(resource, made["metadata"].get("name", ""), decoder.causes)
    return made, decoder.unknown


def immutable(resource: Resource, name: str, field: str, value: Any) -> ApiError:
    words = f"Invalid value: {json.dumps(value)}: field is immutable"
    return invalid(resource, name, [cause("FieldValueInvalid", field, words)])
