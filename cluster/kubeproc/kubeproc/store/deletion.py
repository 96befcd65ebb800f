"""What a deletion waits for: preconditions, finalizers, and graceful termination.

An object with finalizers and a running pod only get a deletionTimestamp at first: the time at which the grace period
ends. The object is removed with its last finalizer, or when the kubelet deletes the pod with a grace period of 0.
"""

from __future__ import annotations

from kubeproc import timestamps
from kubeproc.api_errors import ApiError
from kubeproc.resources import NAMESPACES, PODS, Resource
from kubeproc.store.serialized import Object

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
_POLICIES = {"Foreground": FOREGROUND, "Orphan": ORPHAN}


def check_preconditions(resource: Resource, meta: Object, uid: str, version: str) -> None:
    after = {"UID": "been deleted and then recreated", "ResourceVersion": "been modified"}
    for what, want, have in (("UID", uid, meta["uid"]), ("ResourceVersion", version, meta["resourceVersion"])):
        if want and want != have:
            why = f"the {what} in the precondition ({want}) does not match the {what} in record ({have}). "
            kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
            words = (
                f'Operation cannot be fulfilled on {kind} "{meta["name"]}": {why}The object might have {after[what]}'
            )
            details = {"name": meta["name"], "group": resource.group, "kind": resource.kind}
            raise ApiError(409, "Conflict", words, {k: v for k, v in details.items() if v})


def finalizers(meta: Object, policy: str, owns: bool) -> list[str]:
    """The finalizers that block the deletion: the object's own, and the garbage collector's if the object owns others
    and `policy` asks for it."""
    found = [f for f in meta.get("finalizers") or [] if f not in (FOREGROUND, ORPHAN)]
    return [*found, _POLICIES[policy]] if owns and policy in _POLICIES else found


def set_grace(resource: Resource, obj: Object, grace: int | None) -> None:
    if resource is not PODS:
        return
    if grace is None:
        grace = obj["spec"].get("terminationGracePeriodSeconds", 30)
    before = obj["metadata"].get("deletionGracePeriodSeconds")
    phase = (obj.get("status") or {}).get("phase")
    if not obj["spec"].get("nodeName") or phase in ("Succeeded", "Failed"):
        grace = 0  # no kubelet runs it: there is nothing to wait for
    obj["metadata"]["deletionGracePeriodSeconds"] = grace if before is None else min(before, grace)
    if before is not None and grace < before:
        ends = timestamps.seconds(obj["metadata"]["deletionTimestamp"]) - (before - grace)
        obj["metadata"]["deletionTimestamp"] = timestamps.stamp(ends)


def is_graceful(resource: Resource, obj: Object) -> bool:
    """Whether another component (a pod's kubelet, a namespace's controller) must finish before the object is
    removed."""
    if resource is NAMESPACES:
        return bool((obj.get("spec") or {}).get("finalizers"))
    return resource is PODS and (obj["metadata"].get("deletionGracePeriodSeconds") or 0) > 0


def begin(resource: Resource, meta: Object, held_by: list[str]) -> None:
    """Record in an object's metadata that it is being deleted, and its finalizers."""
    if not meta.get("deletionTimestamp"):
        meta["deletionTimestamp"] = timestamps.now(meta.get("deletionGracePeriodSeconds", 0))
        if resource is not NAMESPACES:
            meta.setdefault("deletionGracePeriodSeconds", 0)
        if meta.get("generation"):
            meta["generation"] += 1
    meta["finalizers"] = held_by
    if not held_by:
        del meta["finalizers"]
