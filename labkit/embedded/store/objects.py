"""Objects as they are handed around: plain dictionaries, and JSON bytes where they rest."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str]  # namespace ("" for cluster-scoped), name


def now(later: float = 0) -> str:
    """The time, or that many seconds later, as Kubernetes writes it: RFC 3339, UTC, whole seconds."""
    return (datetime.now(UTC) + timedelta(seconds=later)).strftime("%Y-%m-%dT%H:%M:%SZ")


def dump(obj: Any) -> bytes:
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def key(obj: Object) -> Key:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]
