"""ConfigMaps and Secrets: keys, sizes, `immutable`, and a Secret's `stringData` and type."""

from __future__ import annotations

import base64
import binascii
import re

from kubeproc.admission.causes import Causes
from kubeproc.resources import CONFIGMAPS
from kubeproc.store import Object, Store

LIMIT = 1024 * 1024
_KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
    "or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def default(store: Store, obj: Object, old: Object | None) -> None:
    for part in ("data", "binaryData"):
        if part in obj and not obj[part]:
            del obj[part]


def validate(store: Store, obj: Object, old: Object | None) -> None:
    causes = Causes()
    size = 0
    for part in ("data", "binaryData"):
        for key, value in (obj.get(part) or {}).items():
            check_key(causes, f"{part}[{key}]", key)
            size += len(value.encode()) if part == "data" else decoded_size(value) or 0
    for key in set(obj.get("data") or {}) & set(obj.get("binaryData") or {}):
        causes.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    if size > LIMIT:
        causes.too_long("[]", LIMIT)  # Go's spelling of the path of the whole object
    check_immutable(causes, obj, old, ("data", "binaryData"))
    causes.settle(CONFIGMAPS, obj["metadata"]["name"])


def check_key(causes: Causes, field: str, key: str) -> None:
    if len(key) > 253:
        causes.invalid(field, key, "must be no more than 253 characters")
    if not re.fullmatch(r"[-._a-zA-Z0-9]+", key):
        causes.invalid(field, key, _KEY_WORDS)
    if key in (".", "..") or key.startswith(".."):
        causes.invalid(field, key, "must not start with '..'" if key != "." else "must not be '.'")


def check_immutable(causes: Causes, obj: Object, old: Object | None, parts: tuple[str, ...]) -> None:
    if not (old or {}).get("immutable"):
        return
    if not obj.get("immutable"):
        causes.forbidden("immutable", "field is immutable when `immutable` is set")
    for part in parts:
        if (obj.get(part) or {}) != (old.get(part) or {}):  # type: ignore[union-attr]
            causes.forbidden(part, "field is immutable when `immutable` is set")


def decoded_size(value: str) -> int | None:
    """The length in bytes of the decoded base64 text; None if it is not base64."""
    try:
        return len(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        return None
