"""A request's body as plain data: JSON, YAML or Kubernetes' protobuf, whichever the client sends.

Bodies are read whole, up to the size upstream allows. Values that Python's JSON accepts and Go's does not (NaN, numbers
out of range, lone surrogates) are rejected or replaced here, so that the decoded data can always be encoded again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request

from kubeproc.api_errors import ApiError, bad_request

LIMIT = 3 * 1024 * 1024  # bytes, k8s.io/apiserver's MaxRequestBodyBytes
YAML_NODES = 200_000  # more can only be an alias bomb
GO = {  # Python's JSON errors, and Go's description of the position
    "Expecting property name": "looking for beginning of object key string",
    "Expecting ':'": "after object key",
    "Expecting ','": "after object key:value pair",
    "Extra data": "after top-level value",
    "Invalid control character": "in string literal",
    "Invalid \\escape": "in string escape code",
}
ACCEPTED = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")


async def read(request: Request) -> Any:
    """The decoded body, usually a dict; an empty one is {}. ApiError 413 if it is too large, 415 for an unknown type,
    400 if it is malformed."""
    data = await read_bytes(request)
    return decode(data, media_type(request))[0] if data else {}


async def read_bytes(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LIMIT:
            raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {LIMIT}")
        chunks.append(chunk)
    return b"".join(chunks)


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def unsupported(accepted: tuple[str, ...]) -> ApiError:
    words = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(accepted)
    return ApiError(415, "UnsupportedMediaType", words)


def decode(data: bytes, media: str, kind: str = "") -> tuple[Any, list[str]]:
    """The data, and the paths of its duplicate keys. `kind` is for the error message."""
    try:
        if media in ("", "*/*", "application/json"):
            return _json(data)
        if media in ("application/yaml", "application/x-yaml", "text/yaml"):
            return _yaml(data), []
        if media == "application/vnd.kubernetes.protobuf":
            from kubeproc.api.wire import protobuf

            return protobuf.decode(data), []
    except (ValueError, RecursionError) as error:
        of = f" (must be of type {kind})" if kind else ""
        text = f"the object provided is unrecognized{of}: couldn't get version/kind; json parse error: "
        raise bad_request(f"{text}{reason(data, error)} ({summary(data)})") from error
    raise unsupported(ACCEPTED)


def parse_json(data: bytes) -> Any:
    """The data, or ValueError with the message of Go's decoder."""
    try:
        return _json(data)[0]
    except (ValueError, RecursionError) as error:
        raise ValueError(reason(data, error)) from None


def reason(data: bytes, error: Exception) -> str:
    """Go's error message for JSON that can't be decoded."""
    if not isinstance(error, json.JSONDecodeError):
        return str(error) or "the document is nested too deeply"
    text = data.decode("utf-8", "replace")
    at = len(text) if error.msg.startswith("Unterminated") else error.pos
    if not text[at:].strip():
        return "unexpected end of JSON input"
    where = next(
        (words for start, words in GO.items() if error.msg.startswith(start)), "looking for beginning of value"
    )
    return f"invalid character '{text[at:].lstrip()[0]}' {where}"


def summary(data: bytes) -> str:
    """The beginning of the data, as k8s.io/apiserver shows it."""
    if not data:
        return "<empty>"
    start = data[:30].decode("utf-8", "replace") if data.startswith(b"{") else data[:30].hex()
    return start + (" ..." if len(data) > 30 else "")


def _json(data: bytes) -> tuple[Any, list[str]]:
    twice: dict[int, list[str]] = {}  # by the identity of the object that contains them

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) != len(items):
            names = [k for k, _ in items]
            twice[id(made)] = sorted({k for k in names if names.count(k) > 1}) if len(names) < 1000 else names[:1]
        return made

    text = data.decode("utf-8", "replace")
    found = json.loads(text, object_pairs_hook=pairs, parse_float=_float, parse_constant=_constant)
    paths = list(_paths(found, "", twice)) if twice else []
    if "\\ud" in text or "\\uD" in text:
        found = json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
    return found, paths


def _paths(value: Any, path: str, twice: dict[int, list[str]]) -> Iterator[str]:
    """The paths of duplicate keys."""
    if isinstance(value, dict):
        yield from (f"{path}.{k}" if path else k for k in twice.get(id(value), ()))
        for name, inner in value.items():
            yield from _paths(inner, f"{path}.{name}" if path else name, twice)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _paths(inner, f"{path}[{i}]", twice)


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"json: cannot unmarshal number {text} into Go value of type float64")
    return number


def _constant(text: str) -> Any:
    raise ValueError(f"invalid character '{text[0]}' looking for beginning of value")


def _yaml(data: bytes) -> Any:
    import yaml

    try:
        found = yaml.load(data, Loader=_loader())
    except yaml.YAMLError as error:
        raise ValueError(f"error converting YAML to JSON: yaml: {error}") from error
    return _plain(found, [YAML_NODES])


def _loader() -> type:
    """PyYAML's safe loader, but timestamps remain strings, as in Kubernetes."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader = type("Loader", (base,), {})
    loader.yaml_implicit_resolvers = {  # type: ignore[attr-defined]
        first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
        for first, rules in base.yaml_implicit_resolvers.items()
    }
    return loader


def _plain(value: Any, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0:
        raise ValueError("error converting YAML to JSON: yaml: document contains excessive aliasing")
    if isinstance(value, dict):
        return {_key(k): _plain(v, left) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v, left) for v in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        raise ValueError(f"json: unsupported value: {value}")
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise ValueError(f"error converting YAML to JSON: unsupported value of type {type(value).__name__}")


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, (str, int, float)):
        return str(key)
    raise ValueError(f"error converting YAML to JSON: unsupported map key of type {type(key).__name__}")
