"""Ownership: references to a controller, and the objects that it controls."""

from __future__ import annotations

from kubeproc import selectors
from kubeproc.resources import Resource
from kubeproc.store import Object, Store


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


def controlled(owner: Object, resource: Resource, store: Store, *, shared: bool = False) -> list[Object]:
    """The objects of `resource` in the owner's namespace that `owner` controls, oldest first; `shared` ones must not be
    changed."""
    uid = owner["metadata"]["uid"]
    found = [o for o in store.owned(uid, resource, shared=shared) if (controller_of(o) or {}).get("uid") == uid]
    return sorted(found, key=lambda o: (o["metadata"]["creationTimestamp"], o["metadata"]["name"]))


def claim(owner: Object, resource: Resource, selector: Object, store: Store, *, shared: bool = False) -> list[Object]:
    """The objects that `owner` controls and its selector matches: matching orphans are adopted, objects that no longer
    match are released."""
    matches = selectors.from_spec(selector)
    meta, mine = owner["metadata"], []
    if not deleting(owner):
        orphans = store.list(
            resource, meta["namespace"], lambda o: "ownerReferences" not in o["metadata"] and matches(o)
        )
        for orphan in orphans:
            if not deleting(orphan) and (orphan.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
                _refer(
                    orphan, resource, store, [*(orphan["metadata"].get("ownerReferences") or ()), controller_ref(owner)]
                )
    for obj in controlled(owner, resource, store, shared=shared):
        if matches(obj):
            mine.append(obj)
        elif not deleting(obj):
            _refer(obj, resource, store, [r for r in obj["metadata"]["ownerReferences"] if r["uid"] != meta["uid"]])
    return mine


def _refer(obj: Object, resource: Resource, store: Store, references: list[Object]) -> None:
    meta = obj["metadata"]

    def change(fresh: Object) -> None:
        fresh["metadata"]["ownerReferences"] = references
        if not references:
            del fresh["metadata"]["ownerReferences"]

    store.modify(resource, meta["namespace"], meta["name"], change)


def deleting(obj: Object) -> bool:
    """Whether the object is being deleted."""
    return "deletionTimestamp" in obj["metadata"]
