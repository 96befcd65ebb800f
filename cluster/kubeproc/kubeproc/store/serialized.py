"""Objects in their two forms: plain dictionaries in use, JSON bytes in storage."""

from __future__ import annotations

import json
from typing import Any

import msgspec

Object = dict[str, Any]
Key = tuple[str, str]  # namespace ("" for cluster-scoped), name


def dump(obj: Any) -> bytes:
    """The object as JSON, with numbers as Go writes them. msgspec takes a thirtieth of json's time, but rejects lone
    surrogates and null keys."""
    try:
        return msgspec.json.encode(obj)
    except (UnicodeEncodeError, TypeError):
        return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def load(raw: bytes | str) -> Any:
    """The object of a JSON text. msgspec takes half of json's time, but no half of a surrogate pair and no infinite number."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError):
        return json.loads(raw)


def key(obj: Object) -> Key:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]
