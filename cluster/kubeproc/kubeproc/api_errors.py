"""Failures in the API's own form: a `Status` object with the code, reason and message of a real API server.

Everything below the HTTP layer (store, admission, patches, controllers) raises `ApiError`; the HTTP layer turns it into
a response. The texts are those of k8s.io/apimachinery/pkg/api/errors, because clients and students read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeproc import embedder

if TYPE_CHECKING:
    from kubeproc.resources import Resource


class ApiError(Exception):
    """A refused request: HTTP `code`, CamelCase `reason`, `message`, and `details` as in a `Status` object."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details or {}
        self.metadata: dict[str, Any] = {}

    def status(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
        } | ({"reason": self.reason} if self.reason else {})
        if self.details:
            body["details"] = self.details
        return body | {"code": self.code}


def _about(resource: Resource, name: str) -> dict[str, Any]:
    return {k: v for k, v in {"name": name, "group": resource.group, "kind": resource.plural}.items() if v}


def not_found(resource: Resource, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{resource.qualified} "{name}" not found', _about(resource, name))


def already_exists(resource: Resource, name: str) -> ApiError:
    message = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _about(resource, name))


def conflict(resource: Resource, name: str, why: str = "") -> ApiError:
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, "Conflict", message, _about(resource, name))


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def forbidden(resource: Resource, name: str, why: str) -> ApiError:
    what = f'{resource.qualified} "{name}"' if name else resource.qualified
    return ApiError(403, "Forbidden", f"{what} is forbidden: {why}", _about(resource, name))


def gone(oldest: int, asked: int) -> ApiError:
    return ApiError(410, "Expired", f"too old resource version: {asked} ({oldest})")


def cause(reason: str, field: str, message: str) -> dict[str, str]:
    """One entry of `invalid`: reason such as FieldValueRequired or FieldValueInvalid, the field's path, and the
    message."""
    return {"reason": reason, "message": message, "field": field}


def invalid(resource: Resource, name: str, causes: list[dict[str, str]]) -> ApiError:
    """422 with every cause, worded as the API server does: `Kind.group "name" is invalid: [field: message, ...]`."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    texts = list(dict.fromkeys(f"{c['field']}: {c['message']}" for c in causes))
    words = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = _about(resource, name) | {"kind": resource.kind, "causes": causes}
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {words}', details)


class Unsupported(ApiError):
    """A request for something that only a real cluster supports; admission adds the object's name."""

    def __init__(self, field: str, what: str = "") -> None:
        why = f"not supported by the embedded cluster{': ' + what if what else ''}; {embedder.current().elsewhere}"
        self.cause = cause("FieldValueNotSupported", field, why)
        super().__init__(422, "Invalid", f"{field}: {why}", {"causes": [self.cause]})


def unsupported(field: str, what: str = "") -> ApiError:
    """An error (422) for a field that only a real cluster supports. Such a field is never ignored."""
    return Unsupported(field, what)
