"""Kubernetes' protobuf bodies as JSON objects: `kubectl create deployment` and similar commands send only these.

Mechanism. A body is the four bytes `k8s\\0` and a `runtime.Unknown` with the object's apiVersion, kind and bytes. The
wire format (tags, varints, lengths) is decoded by hand; names and types come from `upstream/protobuf.json`, a table
generated from Kubernetes' own definitions. Go encodes zero values that JSON omits, so zeros are dropped, except where
the table says that a zero is significant. Nothing is dropped silently: a field that is not in the table is a 400 that
names it, an unknown kind a 415.

Sources: https://protobuf.dev/programming-guides/encoding/, apimachinery's pkg/runtime/serializer/protobuf.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from kubeproc import upstream
from kubeproc.api_errors import ApiError, bad_request

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
GROUPS = {"": "core", "rbac.authorization.k8s.io": "rbac"}  # where the message's package isn't the group's first word

Field = tuple[str, str, str]  # JSON name, prefix ("", "*", "[]", "{}"), type with its package
Raw = int | bytes


def decode(body: bytes) -> dict[str, Any]:
    """The object in a body of media type `application/vnd.kubernetes.protobuf`.

    ApiError 400 if the bytes are malformed or have an unknown field, 415 for an unknown kind.
    """
    if not body.startswith(MAGIC):
        raise bad_request("the body is not Kubernetes protobuf: it does not start with the bytes 6b 38 73 00")
    envelope = dict(_wire(body[len(MAGIC) :], "runtime.Unknown"))
    about = dict(_wire(_bytes(envelope.get(1, b""), "runtime.Unknown.typeMeta"), "runtime.TypeMeta"))
    api_version, kind = (_text(about.get(n, b""), "runtime.TypeMeta") for n in (1, 2))
    name = _message(api_version, kind)
    if name not in _messages():
        said = f"{kind} of {api_version}" if kind else "a body without a kind"
        hint = "send it as application/json"
        raise ApiError(415, "UnsupportedMediaType", f"{MEDIA_TYPE} is not supported for {said}: {hint}")
    obj = _object(_bytes(envelope.get(2, b""), name), name)
    return {"apiVersion": api_version, "kind": kind} | obj


def _message(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    if kind == "DeleteOptions":
        return "meta.v1.DeleteOptions"
    return f"{GROUPS.get(group, group.split('.')[0])}.{version}.{kind}"


@lru_cache(maxsize=1)
def _messages() -> dict[str, dict[int, Field]]:
    """Each message's fields by number, loaded for the first protobuf body.

    A field is `NUMBER JSON-NAME TYPE`. A type is a scalar of protobuf, a message (of the same package when it has no
    dot), or a key of `SPECIAL`. `[]` is repeated, `{}` a map from strings, `*` a field that is kept even if it is zero
    or empty. The name `+` means that the message's fields are its parent's.
    """
    found: dict[str, dict[int, Field]] = {}
    for name, fields in upstream.read("protobuf.json")["messages"].items():
        found[name] = {int(n): _field(name, json_name, kind) for n, json_name, kind in map(str.split, fields)}
    return found


def _field(message: str, json_name: str, kind: str) -> Field:
    bare = kind.lstrip("*[]{}")
    if bare[0].isupper():
        bare_name = f"{message.rpartition('.')[0]}.{bare}"
    else:
        bare_name = bare
    return json_name, kind[: len(kind) - len(bare)], bare_name


# -- the wire --------------------------------------------------------------------------------------------------------


def _wire(data: bytes, where: str) -> Iterator[tuple[int, Raw]]:
    """(field number, value): an int for varints and fixed words (as their bits), bytes for length-delimited fields."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at, where)
        number, form = tag >> 3, tag & 7
        if form == 0:
            value, at = _varint(data, at, where)
            yield number, value
            continue
        size, at = (8 if form == 1 else 4, at) if form in (1, 5) else _varint(data, at, where)
        if form not in (1, 2, 5) or at + size > len(data):
            raise bad_request(f"malformed protobuf in {where}: field {number} is cut off or of an unknown form")
        chunk = data[at : at + size]
        yield number, chunk if form == 2 else int.from_bytes(chunk, "little")
        at += size


def _varint(data: bytes, at: int, where: str) -> tuple[int, int]:
    value = shift = 0
    for here, byte in enumerate(data[at : at + 10], at):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, here + 1
    raise bad_request(f"malformed protobuf in {where}: a number does not end")


def _bytes(value: Raw, where: str) -> bytes:
    if isinstance(value, int):
        raise bad_request(f"malformed protobuf in {where}: a number where bytes are expected")
    return value


def _text(value: Raw, where: str) -> str:
    try:
        return _bytes(value, where).decode()
    except UnicodeDecodeError as error:
        raise bad_request(f"malformed protobuf in {where}: {error}") from None


def _int(value: Raw, where: str) -> int:
    if isinstance(value, bytes):
        raise bad_request(f"malformed protobuf in {where}: bytes where a number is expected")
    return value - (1 << 64) if value >= 1 << 63 else value


# -- objects ---------------------------------------------------------------------------------------------------------


def _object(data: bytes, message: str) -> dict[str, Any]:
    fields = _messages()[message]
    found: dict[str, Any] = {}
    for number, raw in _wire(data, message):
        if number not in fields:
            raise bad_request(
                f"{message} has no field number {number} in this version of the API: send it as application/json"
            )
        name, prefix, kind = fields[number]
        where = f"{message}.{name}"
        if prefix == "[]":
            found.setdefault(name, []).append(_value(raw, kind, where))
        elif prefix == "{}":
            entry = dict(_wire(_bytes(raw, where), where))
            key = _text(entry.get(1, b""), where)
            found.setdefault(name, {})[key] = _value(entry.get(2, _empty(kind)), kind, where)
        else:
            value = _value(raw, kind, where)
            if name == "+":
                found.update(value)
            elif prefix == "*" or value:
                found[name] = value
    return found


def _empty(kind: str) -> Raw:
    return 0 if kind in ("int32", "int64", "bool", "double") else b""


def _value(raw: Raw, kind: str, where: str) -> Any:
    if kind == "string":
        return _text(raw, where)
    if kind in ("int32", "int64"):
        return _int(raw, where)
    if kind == "bool":
        return bool(_int(raw, where))
    if kind == "double":
        return struct.unpack("<d", _int(raw, where).to_bytes(8, "little", signed=True))[0]
    data = _bytes(raw, where)
    if kind == "bytes":
        return base64.b64encode(data).decode()
    if kind in SPECIAL:
        return SPECIAL[kind](dict(_wire(data, where)), where, data)
    return _object(data, kind)


def _moment(parts: dict[int, Raw], where: str) -> datetime:
    try:
        return datetime.fromtimestamp(_int(parts.get(1, 0), where), UTC)
    except (ValueError, OverflowError, OSError):
        raise bad_request(f"{where}: not a time between the years 1 and 9999") from None


def _time(parts: dict[int, Raw], where: str, data: bytes) -> str | None:
    if not parts:
        return None
    return _moment(parts, where).strftime("%Y-%m-%dT%H:%M:%SZ")


def _microtime(parts: dict[int, Raw], where: str, data: bytes) -> str | None:
    if not parts:
        return None
    return _moment(parts, where).strftime("%Y-%m-%dT%H:%M:%S") + f".{_int(parts.get(2, 0), where) // 1000:06d}Z"


def _quantity(parts: dict[int, Raw], where: str, data: bytes) -> str:
    return _text(parts.get(1, b"0"), where)


def _int_or_string(parts: dict[int, Raw], where: str, data: bytes) -> int | str:
    if _int(parts.get(1, 0), where):
        return _text(parts.get(3, b""), where)
    return _int(parts.get(2, 0), where)


def _json(parts: dict[int, Raw], where: str, data: bytes) -> Any:
    text = _bytes(parts.get(1, b""), where)
    try:
        return json.loads(text) if text else None
    except ValueError as error:
        raise bad_request(f"{where}: {error}") from None


def _extra(parts: dict[int, Raw], where: str, data: bytes) -> list[str]:
    return [_text(raw, where) for _, raw in _wire(data, where)]


SPECIAL = {
    "time": _time,
    "microtime": _microtime,
    "quantity": _quantity,
    "intorstring": _int_or_string,
    "fields": _json,
    "extra": _extra,
}
