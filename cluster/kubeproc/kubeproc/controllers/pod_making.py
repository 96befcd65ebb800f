"""Pods as controllers see them: active, ready, available; and how they are created from a template."""

from __future__ import annotations

from kubeproc import timestamps
from kubeproc.api_errors import ApiError
from kubeproc.controllers import events
from kubeproc.controllers.owners import controller_ref, deleting
from kubeproc.resources import PODS
from kubeproc.store import Object, Store

FINISHED = ("Succeeded", "Failed")
PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 2}


def phase(pod: Object) -> str:
    return (pod.get("status") or {}).get("phase", "Pending")


def finished(pod: Object) -> bool:
    return phase(pod) in FINISHED


def active(pod: Object) -> bool:
    """Neither finished nor being deleted."""
    return not finished(pod) and not deleting(pod)


def deleted_at(pod: Object) -> float:
    """The time of the pod's deletion request, in seconds since the epoch: deletionTimestamp is the end of its grace
    period."""
    meta = pod["metadata"]
    return timestamps.seconds(meta["deletionTimestamp"]) - meta.get("deletionGracePeriodSeconds", 0)


def condition(obj: Object, type: str) -> Object | None:
    """The entry of `status.conditions` of that type, or None."""
    return next((c for c in (obj.get("status") or {}).get("conditions") or () if c["type"] == type), None)


def is_true(obj: Object, type: str) -> bool:
    return (condition(obj, type) or {}).get("status") == "True"


def ready(pod: Object) -> bool:
    return is_true(pod, "Ready")


def available_in(pod: Object, seconds: int) -> float | None:
    """The seconds until the pod has been ready for `seconds`: 0 if it has, None while it isn't ready."""
    found = condition(pod, "Ready")
    if found is None or found["status"] != "True":
        return None
    return max(0.0, seconds - timestamps.age(found["lastTransitionTime"])) if seconds else 0.0


def removal_order(pod: Object) -> tuple[object, ...]:
    """A sort key: the pods that a controller removes first sort first. They are unscheduled, pending, not ready, ready
    for a short time, restarted often, young. Source: ActivePods in pkg/controller/controller_utils.go of Kubernetes
    1.34."""
    since = (condition(pod, "Ready") or {}).get("lastTransitionTime") if ready(pod) else None
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return (
        bool(pod["spec"].get("nodeName")),
        PHASE_ORDER.get(phase(pod), 1),
        ready(pod),
        -timestamps.seconds(since) if since else 0.0,
        -max((c.get("restartCount", 0) for c in statuses), default=0),
        -timestamps.seconds(pod["metadata"]["creationTimestamp"]),
    )


def from_template(template: Object, owner: Object, **meta: str) -> Object:
    """A pod from a PodTemplateSpec, controlled by `owner`; `meta` has name or generateName."""
    of_template = template.get("metadata") or {}
    kept = {k: dict(of_template[k]) for k in ("labels", "annotations") if of_template.get(k)}
    if of_template.get("finalizers"):
        kept["finalizers"] = of_template["finalizers"]
    refs = {"namespace": owner["metadata"]["namespace"], "ownerReferences": [controller_ref(owner)]}
    return {"metadata": {**meta, **kept, **refs}, "spec": dict(template.get("spec") or {})}


def create(store: Store, owner: Object, pod: Object, component: str) -> Object:
    """Create the pod and record an event of the owner; an error is recorded as a FailedCreate event and raised."""
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
    """Delete the pod, unless it is being deleted, and record an event of the owner."""
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
