"""Events, as client-go's recorder writes them: one object for each thing that happened, with a count.

Mechanism. The same event about the same object (reason, message, type and reporter) updates the count and the last time
of the existing one. A new event's name is the object's name and the time in nanoseconds in hexadecimal. The last few
thousand names are remembered for this; after a restart the next event starts a new count, as upstream. Old events are
removed by `retention`; beyond MAXIMUM the oldest go first.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from weakref import WeakKeyDictionary

from kubeproc import timestamps
from kubeproc.api_errors import ApiError
from kubeproc.resources import EVENTS, NAMESPACES
from kubeproc.store import Object, Store

NORMAL, WARNING = "Normal", "Warning"
MAXIMUM, REMEMBERED = 2000, 2048  # of a namespace; of this process

_known: WeakKeyDictionary[Store, OrderedDict[tuple[str, ...], tuple[str, str]]] = WeakKeyDictionary()


def reference(obj: Object) -> Object:
    """The `involvedObject` that names `obj`."""
    meta = obj["metadata"]
    about = {
        "kind": obj["kind"],
        "namespace": meta.get("namespace"),
        "name": meta["name"],
        "uid": meta["uid"],
        "apiVersion": obj["apiVersion"],
        "resourceVersion": meta.get("resourceVersion"),
    }
    return {k: v for k, v in about.items() if v}


def record(
    store: Store,
    obj: Object,
    type: str,
    reason: str,
    message: str,
    *,
    component: str = "labkit",
    host: str = "",
    field_path: str = "",
) -> None:
    """Record that `reason` happened to `obj`; `type` is Normal or Warning. Never fails: an event must not break the
    caller."""
    involved = reference(obj) | ({"fieldPath": field_path} if field_path else {})
    namespace = involved.get("namespace") or "default"
    known = _known.setdefault(store, OrderedDict())
    key = (involved["uid"], field_path, type, reason, message, component)
    try:
        if key in known and _again(store, *known[key]):
            known.move_to_end(key)
            return
        home = store.find(NAMESPACES, "", namespace)
        if home is None or home["metadata"].get("deletionTimestamp"):
            return
        moment = timestamps.now()
        event = {
            "metadata": {"name": f"{involved['name']}.{time.time_ns():x}", "namespace": namespace},
            "involvedObject": involved,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": component} | ({"host": host} if host else {}),
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
            "type": type,
            "eventTime": None,
            "reportingComponent": component,
            "reportingInstance": host,
        }
        store.create(EVENTS, event)
    except ApiError:
        return
    known[key] = (namespace, event["metadata"]["name"])  # type: ignore[index]
    if len(known) > REMEMBERED:
        known.popitem(last=False)


def _again(store: Store, namespace: str, name: str) -> bool:
    """Increment the count of the existing event; False if it is deleted."""

    def count(event: Object) -> None:
        event["count"] = event.get("count", 1) + 1
        event["lastTimestamp"] = timestamps.now()

    return store.modify(EVENTS, namespace, name, count) is not None
