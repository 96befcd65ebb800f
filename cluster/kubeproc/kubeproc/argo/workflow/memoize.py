"""memoize: outputs kept in a ConfigMap under a key, and used instead of running the template again.

The ConfigMap's entry is JSON `{nodeID, outputs, creationTimestamp, lastHitTimestamp}`; a hit renews the last time. A
ConfigMap without the label `workflows.argoproj.io/configmap-type: Cache` is left alone.
"""

from __future__ import annotations

import json
import re

from kubeproc import timestamps
from kubeproc.argo.language import go_text
from kubeproc.argo.workflow.operation import Object, Operation, OperationError
from kubeproc.resources import CONFIGMAPS

LABEL, CACHE = "workflows.argoproj.io/configmap-type", "Cache"
_KEY = re.compile(r"^[a-zA-Z0-9][-a-zA-Z0-9]*$")


def cache_name(template: Object) -> str:
    return template["memoize"]["cache"]["configMap"]["name"]


def _check(key: str, configmap: Object | None) -> None:
    if not _KEY.match(key):
        raise OperationError(f"invalid cache key: {key}")
    if configmap is None:
        return
    label = (configmap["metadata"].get("labels") or {}).get(LABEL)
    if label is None:
        raise OperationError(f"memoization configmap doesn't have {LABEL} label, refusing to use it")
    if label != CACHE:
        raise OperationError(f"memoization configmap doesn't have label {LABEL} = {CACHE}, refusing to use it")


def load(op: Operation, template: Object) -> tuple[bool, Object | None]:
    """Whether the template's key is in its cache and not too old, and the outputs kept there."""
    wanted = template["memoize"]
    key, name = wanted.get("key", ""), cache_name(template)
    configmap = op.store.find(CONFIGMAPS, op.namespace, name)
    _check(key, configmap)
    raw = ((configmap or {}).get("data") or {}).get(key)
    if configmap is None or not raw:
        return False, None
    try:
        entry = json.loads(raw)
    except ValueError as error:
        raise OperationError(f"malformed cache entry: could not unmarshal JSON; unable to parse: {error}") from None
    entry["lastHitTimestamp"] = timestamps.stamp(op.clock)
    configmap["data"][key] = _entry(entry)
    op.store.update(CONFIGMAPS, configmap)
    if wanted.get("maxAge"):
        try:
            oldest = go_text.duration(wanted["maxAge"])
        except ValueError as error:
            raise OperationError(f"invalid maxAge: {error}") from None
        if op.clock - (timestamps.seconds_or_none(entry["creationTimestamp"]) or 0) > oldest:
            return False, None
    return True, entry.get("outputs")


def _entry(entry: Object) -> str:
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False)


def status(template: Object, hit: bool) -> Object:
    """A node's memoizationStatus."""
    return {"hit": hit, "key": template["memoize"].get("key", ""), "cacheName": cache_name(template)}


def save(op: Operation, node: Object) -> None:
    """Keep the outputs of a node that has succeeded; OperationError where the ConfigMap may not be used."""
    memo = node.get("memoizationStatus")
    if not memo or memo["hit"]:
        return
    key, name = memo["key"], memo["cacheName"]
    configmap = op.store.find(CONFIGMAPS, op.namespace, name)
    _check(key, configmap)
    now = timestamps.stamp(op.clock)
    entry = {"nodeID": node["id"], "outputs": node.get("outputs"), "creationTimestamp": now, "lastHitTimestamp": now}
    if configmap is None:
        meta = {"name": name, "namespace": op.namespace, "labels": {LABEL: CACHE}}
        op.store.create(CONFIGMAPS, {"metadata": meta, "data": {key: _entry(entry)}})
        return
    configmap.setdefault("data", {})[key] = _entry(entry)
    op.store.update(CONFIGMAPS, configmap)
