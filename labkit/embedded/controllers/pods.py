"""Pods as controllers see them: active, ready, available; and how one is made from a template."""

from __future__ import annotations

from labkit.embedded.controllers import events, times
from labkit.embedded.controllers.owners import controller_ref, deleting
from labkit.embedded.resources import PODS
from labkit.embedded.status import ApiError
from labkit.embedded.store import Object, Store

FINISHED = ("Succeeded", "Failed")


def phase(pod: Object) -> str:
    return (pod.get("status") or {}).get("phase", "Pending")


def finished(pod: Object) -> bool:
    return phase(pod) in FINISHED


def active(pod: Object) -> bool:
    """Neither finished nor on its way out."""
    return not finished(pod) and not deleting(pod)


def deleted_at(pod: Object) -> float:
    """When somebody asked for the pod's deletion, in seconds since the epoch: its deletionTimestamp is when its grace
    ends."""
    meta = pod["metadata"]
    return times.seconds(meta["deletionTimestamp"]) - meta.get("deletionGracePeriodSeconds", 0)


def condition(obj: Object, type: str) -> Object | None:
    """The entry of `status.conditions` of that type, or None."""
    return next((c for c in (obj.get("status") or {}).get("conditions") or () if c["type"] == type), None)


def is_true(obj: Object, type: str) -> bool:
    return (condition(obj, type) or {}).get("status") == "True"


def ready(pod: Object) -> bool:
    return is_true(pod, "Ready")


def available_in(pod: Object, seconds: int) -> float | None:
    """In how many seconds the pod will have been ready for `seconds`: 0 when it has, None while it isn't ready."""
    found = condition(pod, "Ready")
    if found is None or found["status"] != "True":
        return None
    return max(0.0, seconds - times.age(found["lastTransitionTime"])) if seconds else 0.0


def from_template(template: Object, owner: Object, **meta: str) -> Object:
    """A pod of a PodTemplateSpec, controlled by `owner`; `meta` gives name or generateName."""
    of_template = template.get("metadata") or {}
    kept = {k: dict(of_template[k]) for k in ("labels", "annotations") if of_template.get(k)}
    if of_template.get("finalizers"):
        kept["finalizers"] = of_template["finalizers"]
    refs = {"namespace": owner["metadata"]["namespace"], "ownerReferences": [controller_ref(owner)]}
    return {"metadata": {**meta, **kept, **refs}, "spec": dict(template.get("spec") or {})}


def create(store: Store, owner: Object, pod: Object, component: str) -> Object:
    """Create the pod and say so in an event of the owner; a refusal becomes a FailedCreate event and is raised."""
    try:
        made = store.create(PODS, pod)
    except ApiError as error:
        if error.code != 409 and "NamespaceTerminating" not in str(error.details):
            message = f"Error creating: {error.message}"
            events.record(store, owner, events.WARNING, "FailedCreate", message, component=component)
        raise
    message = f"Created pod: {made['metadata']['name']}"
    events.record(store, owner, events.NORMAL, "SuccessfulCreate", message, component=component)
    return made


def delete(store: Store, owner: Object, pod: Object, component: str) -> None:
    """Delete the pod, if it is not being deleted, and say so in an event of the owner."""
    meta = pod["metadata"]
    if deleting(pod):
        return
    try:
        store.delete(PODS, meta["namespace"], meta["name"], uid=meta["uid"])
    except ApiError as error:
        if error.code in (404, 409):
            return
        raise
    events.record(store, owner, events.NORMAL, "SuccessfulDelete", f"Deleted pod: {meta['name']}", component=component)
