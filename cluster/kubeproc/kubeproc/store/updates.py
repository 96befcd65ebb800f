"""The metadata that an update can't change, and the rule for a new generation."""

from __future__ import annotations

from kubeproc.resources import DEPLOYMENTS, PODS, Resource
from kubeproc.store.serialized import Object

_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_KEPT = (*_OWNED, "name", "namespace", "generateName", "resourceVersion")


def carry(old: Object, new: Object) -> Object:
    """The metadata after an update: fields that the server owns come from the stored object."""
    return {k: v for k, v in new.items() if k not in (*_OWNED, "selfLink")} | {k: old[k] for k in _KEPT if k in old}


def is_counted(resource: Resource) -> bool:
    """Whether the kind counts the generations of its spec: Services, namespaces, claims and nodes do not."""
    return resource.custom or resource is PODS or resource.group in ("apps", "batch")


def is_another(resource: Resource, operation: str, old: Object, new: Object) -> bool:
    """Whether a write creates a new generation: a change of the spec does (except a pod's binding), and of a
    Deployment's annotations."""
    notes = [obj["metadata"].get("annotations") or {} for obj in (old, new)]
    if operation == "UPDATE" and resource is DEPLOYMENTS and notes[0] != notes[1]:
        return True
    before, after = old.get("spec"), new.get("spec")
    if resource is PODS and before and after and not before.get("nodeName"):
        after = {k: v for k, v in after.items() if k != "nodeName"}
    return before != after
