"""Garbage collection: the dependents of deleted owners.

Background: the owner is deleted first, then the objects whose owners are all gone. Foreground: the owner waits, with a
finalizer, until the dependents that block it are gone. Orphan: the owner waits until no dependent refers to it. An
owner is gone if no object has its uid, even if another object has its name.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubeproc.api_errors import ApiError
from kubeproc.controllers.loop import Controller, Item
from kubeproc.controllers.owners import deleting
from kubeproc.resources import RESOURCES, Resource, by_kind
from kubeproc.store import FOREGROUND, ORPHAN, Event, Object, Store


def reconcile(obj: Object, store: Store) -> float | None:
    finalizers = obj["metadata"].get("finalizers") or ()
    if deleting(obj) and ORPHAN in finalizers:
        _orphan(obj, store)
    elif deleting(obj) and FOREGROUND in finalizers:
        _foreground(obj, store)
    elif obj["metadata"].get("ownerReferences") and not deleting(obj):
        _check_owners(obj, store)
    return None


def _resource(obj: Object) -> Resource:
    found = by_kind(obj["apiVersion"], obj["kind"])
    assert found is not None, "the store holds only kinds of the table"
    return found


def _owner(reference: Object, namespace: str, store: Store) -> Object | None:
    """The stored owner; None if it is gone."""
    resource = by_kind(reference["apiVersion"], reference["kind"])
    if resource is None:
        return None
    found = store.find(resource, namespace if resource.namespaced else "", reference["name"], shared=True)
    return found if found and found["metadata"]["uid"] == reference["uid"] else None


def _check_owners(obj: Object, store: Store) -> None:
    meta = obj["metadata"]
    references = meta["ownerReferences"]
    if any(by_kind(r["apiVersion"], r["kind"]) is None for r in references):
        return  # a kind that this cluster does not serve: the owner's state is unknown
    owners = [_owner(r, meta.get("namespace", ""), store) for r in references]
    if not any(owners):
        policy = "Orphan" if ORPHAN in (meta.get("finalizers") or ()) else "Background"
        _delete(obj, policy, store)
        return
    waiting = [o is not None and deleting(o) and FOREGROUND in (o["metadata"].get("finalizers") or ()) for o in owners]
    if all(w or o is None for w, o in zip(waiting, owners, strict=True)):
        _delete(obj, "Foreground" if store.owned(meta["uid"]) else "Background", store)
    elif not all(owners) or any(waiting):  # it is kept for the existing owners; references to the others are removed
        rest = zip(references, owners, waiting, strict=True)
        kept = {r["uid"] for r, owner, waits in rest if owner is not None and not waits}
        _keep_owners(obj, lambda r: r["uid"] in kept, store)


def _foreground(owner: Object, store: Store) -> None:
    uid = owner["metadata"]["uid"]
    blocking = False
    for dependent in store.owned(uid):
        reference = next(r for r in dependent["metadata"]["ownerReferences"] if r["uid"] == uid)
        blocking = blocking or bool(reference.get("blockOwnerDeletion"))
        if not deleting(dependent):
            _check_owners(dependent, store)
    still = any(
        r.get("blockOwnerDeletion")
        for d in store.owned(uid)
        for r in d["metadata"]["ownerReferences"]
        if r["uid"] == uid
    )
    if not (blocking and still):
        _release(owner, FOREGROUND, store)


def _orphan(owner: Object, store: Store) -> None:
    uid = owner["metadata"]["uid"]
    for dependent in store.owned(uid):
        _keep_owners(dependent, lambda r: r["uid"] != uid, store)
    _release(owner, ORPHAN, store)


def _keep_owners(obj: Object, keep: object, store: Store) -> None:
    meta = obj["metadata"]

    def change(fresh: Object) -> None:
        left = [r for r in fresh["metadata"].get("ownerReferences") or () if keep(r)]  # type: ignore[operator]
        if left:
            fresh["metadata"]["ownerReferences"] = left
        else:
            fresh["metadata"].pop("ownerReferences", None)

    store.modify(_resource(obj), meta.get("namespace", ""), meta["name"], change)


def _release(obj: Object, finalizer: str, store: Store) -> None:
    meta = obj["metadata"]

    def change(fresh: Object) -> None:
        fresh["metadata"]["finalizers"] = [f for f in fresh["metadata"].get("finalizers") or () if f != finalizer]

    store.modify(_resource(obj), meta.get("namespace", ""), meta["name"], change)


def _delete(obj: Object, policy: str, store: Store) -> None:
    meta = obj["metadata"]
    try:
        store.delete(_resource(obj), meta.get("namespace", ""), meta["name"], policy=policy, uid=meta["uid"])
    except ApiError as error:
        if error.code not in (404, 409):
            raise


def _item(obj: Object) -> Item:
    meta = obj["metadata"]
    return _resource(obj).qualified, meta.get("namespace", ""), meta["name"]


def _concerned(event: Event, store: Store) -> Iterable[Item]:
    obj, meta = event.object, event.object["metadata"]
    if event.type != "DELETED":
        before = ((event.previous or {}).get("metadata") or {}).get("ownerReferences")
        waits = deleting(obj) and {FOREGROUND, ORPHAN} & set(meta.get("finalizers") or ())
        if waits or (meta.get("ownerReferences") and meta["ownerReferences"] != before):
            yield _item(obj)
        if before and before != meta.get("ownerReferences"):
            yield from _owners(before, event.key[0], store)
        return
    for dependent in store.owned(meta["uid"], shared=True):
        yield _item(dependent)
    yield from _owners(meta.get("ownerReferences") or (), event.key[0], store)


def _owners(references: Iterable[Object], namespace: str, store: Store) -> Iterable[Item]:
    """The owners that wait for the deletion of a dependent."""
    for reference in references:
        owner = _owner(reference, namespace, store)
        if owner is not None and FOREGROUND in (owner["metadata"].get("finalizers") or ()):
            yield _item(owner)


CONTROLLER = Controller("garbage collector", None, reconcile, finds=dict.fromkeys(RESOURCES.values(), _concerned))
