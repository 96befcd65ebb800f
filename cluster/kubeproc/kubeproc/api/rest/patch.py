"""The four kinds of patches, each parsed into a function from the stored object to the new one.

JSON patch (RFC 6902, with the jsonpatch package), merge patch (RFC 7386), strategic merge (`strategic`) and server-side
apply (`apply`). A custom resource has no strategic merge (415).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from kubeproc.api.rest import apply, strategic
from kubeproc.api.rest.options import WriteOptions, refuse
from kubeproc.api.rest.targets import Target
from kubeproc.api.schema import schemas
from kubeproc.api.wire import body
from kubeproc.api_errors import ApiError, bad_request
from kubeproc.store import Object, dump

JSON_PATCH, MERGE = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
OPERATIONS = 10_000  # in one JSON patch, as upstream


@dataclass(frozen=True)
class Patch:
    """`apply(old)` is the new object (old may be changed); `creates` says whether old may be None."""

    apply: Callable[[Any], Object]
    creates: bool = False


def parse(media: str, data: bytes, target: Target, options: WriteOptions, request: Request) -> Patch:
    """The patch in a request's body. ApiError 415 for a kind of patch that the resource does not support, 400 for one
    that can't be decoded, 422 for invalid options."""
    resource = target.resource
    accepted = (JSON_PATCH, MERGE, APPLY) if resource.custom else (JSON_PATCH, MERGE, STRATEGIC, APPLY)
    if media not in accepted:
        raise body.unsupported(accepted)
    if media != APPLY and options.force is not None:
        raise refuse("PatchOptions", "force", "Forbidden: may not be specified for non-apply patch")
    if media == APPLY:
        if not request.query_params.get("fieldManager"):
            raise refuse("PatchOptions", "fieldManager", "Required value: is required for apply patch")
        config = body.decode(data, "application/yaml")[0]
        return Patch(lambda old: apply.apply(resource, old, config, options, target.subresource), creates=True)
    content = _content(data, "" if media == STRATEGIC else "error decoding patch: ")
    if media == JSON_PATCH:
        return _json_patch(content)
    if not isinstance(content, dict):
        words = f"json: cannot unmarshal {_go_type(content)} into Go value of type map[string]interface {{}}"
        raise bad_request(words if media == STRATEGIC else f"error decoding patch: {words}")
    if media == MERGE:
        return Patch(lambda old: merge(old, content))
    return Patch(lambda old: strategic.merge(old, json.loads(dump(content)), schemas.of(resource)))


def _content(data: bytes, prefix: str) -> Any:
    try:
        return body.parse_json(data)
    except ValueError as error:
        raise bad_request(f"{prefix}{error}") from None


def _go_type(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}
    return names.get(type(value), "null")


def merge(old: Any, change: Any) -> Any:
    """RFC 7386: null removes, objects merge, everything else replaces."""
    if not isinstance(change, dict):
        return change
    made = dict(old) if isinstance(old, dict) else {}
    for name, value in change.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = merge(made.get(name), value)
    return made


def _json_patch(operations: Any) -> Patch:
    import jsonpatch  # type: ignore[import-untyped,unused-ignore]

    if not isinstance(operations, list) or not all(isinstance(o, dict) for o in operations):
        words = f"json: cannot unmarshal {_go_type(operations)} into Go value of type []handlers.jsonPatchOp"
        raise bad_request(f"error decoding patch: {words}")
    if len(operations) > OPERATIONS:
        words = f"The allowed maximum operations in a JSON patch is {OPERATIONS}, got {len(operations)}"
        raise ApiError(413, "RequestEntityTooLarge", words)

    def run(old: Object) -> Object:
        try:
            made = old
            for operation in operations:
                made = jsonpatch.JsonPatch([_lenient(operation, made)]).apply(made)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, ValueError, KeyError) as error:
            raise _rejected() from error
        if not isinstance(made, dict):
            raise _rejected()
        return made

    return Patch(run)


def _lenient(operation: Object, document: Any) -> Object:
    """Replacing a missing member adds it, as upstream's library does within an object."""
    if operation.get("op") != "replace" or not isinstance(operation.get("path"), str):
        return operation
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]] or [""]
    for part in way:
        document = document.get(part) if isinstance(document, dict) else None
    return operation | {"op": "add"} if isinstance(document, dict) and last not in document else operation


def _rejected() -> ApiError:
    """Upstream's error gives no detail either."""
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request")
