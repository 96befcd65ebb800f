"""Who owns what: references to a controller, and the objects that it controls."""

from __future__ import annotations

from labkit.embedded.resources import Resource
from labkit.embedded.store import Object, Store


def controller_ref(owner: Object) -> Object:
    """The ownerReference of an object that `owner` controls."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(obj: Object) -> Object | None:
    """The ownerReference with `controller: true`, or None."""
    return next((o for o in obj["metadata"].get("ownerReferences") or () if o.get("controller")), None)


def controlled(owner: Object, resource: Resource, store: Store) -> list[Object]:
    """The objects of `resource` in the owner's namespace that `owner` controls, oldest first."""
    uid = owner["metadata"]["uid"]
    found = [o for o in store.owned(uid, resource) if (controller_of(o) or {}).get("uid") == uid]
    return sorted(found, key=lambda o: (o["metadata"]["creationTimestamp"], o["metadata"]["name"]))


def deleting(obj: Object) -> bool:
    """Whether the object is on its way out."""
    return "deletionTimestamp" in obj["metadata"]
