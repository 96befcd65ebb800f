"""What an update may not touch, and when it makes another generation of the spec."""

from __future__ import annotations

from labkit.embedded.resources import DEPLOYMENTS, PODS, Resource
from labkit.embedded.store.objects import Object

_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_KEPT = (*_OWNED, "name", "namespace", "generateName", "resourceVersion")


def carry(old: Object, new: Object) -> Object:
    """The metadata after an update: what the server owns comes from the stored object."""
    return {k: v for k, v in new.items() if k not in (*_OWNED, "selfLink")} | {k: old[k] for k in _KEPT if k in old}


def is_counted(resource: Resource) -> bool:
    """Whether the kind counts the generations of its spec: Services, namespaces, claims and nodes do not."""
    return resource.custom or resource is PODS or resource.group in ("apps", "batch")


def is_another(resource: Resource, operation: str, old: Object, new: Object) -> bool:
    """Whether a write makes another generation: of the spec, of a Deployment's annotations too; a pod's binding is none."""
    notes = [obj["metadata"].get("annotations") or {} for obj in (old, new)]
    if operation == "UPDATE" and resource is DEPLOYMENTS and notes[0] != notes[1]:
        return True
    before, after = old.get("spec"), new.get("spec")
    if resource is PODS and before and after and not before.get("nodeName"):
        after = {k: v for k, v in after.items() if k != "nodeName"}
    return before != after
