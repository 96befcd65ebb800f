"""The cluster's state: every object, durable in SQLite, with one monotonic resourceVersion and events to watch.

Mechanism. Objects live in memory as JSON bytes; each write is one SQLite transaction in WAL mode, committed before the
memory changes and before any watcher sees it, so that a SIGKILL loses no acknowledged write (`sync()`, called every
second, bounds what a power failure loses). Watchers are called synchronously after the commit, in order: `database`,
`memory` and `history` are the three steps of each write. `deletion` has the rules of deletions, `updates` the fields
that an update can't change.

The store handles what all kinds share: names, uids, versions, generations, the status subresource, graceful deletion,
finalizers, owners. Rules of single kinds (defaults, validation) come in through `admit`. Objects handed out are the
caller's own copies; those in an `Event` are shared and must not be changed.
"""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

from kubeproc import names, selectors, timestamps
from kubeproc.api_errors import ApiError, already_exists, cause, conflict, invalid, not_found
from kubeproc.resources import NAMESPACES, RESOURCES, Resource
from kubeproc.store import deletion, updates
from kubeproc.store.database import Database, unusable
from kubeproc.store.deletion import FOREGROUND, ORPHAN
from kubeproc.store.history import Event, History
from kubeproc.store.memory import Entry, Memory
from kubeproc.store.serialized import Key, Object, dump, key, load

__all__ = ["FOREGROUND", "ORPHAN", "Admit", "Event", "Key", "Object", "Store", "dump", "load"]

List = list  # the class below has a method of that name
ATTEMPTS = 8  # to find a free name for `generateName`
Admit = Callable[["Store", str, Resource, Object, Object | None], Object]


class Store:
    """`path` is the database's file, or None for one in memory; `admit(store, operation, resource, new, old)` returns
    the object to store, or raises ApiError; operation is CREATE, UPDATE, STATUS or DELETE."""

    def __init__(self, path: Path | None, *, admit: Admit | None = None, history: int = 20_000) -> None:
        self.admit = admit
        self.lock = threading.RLock()
        self._memory = Memory()
        try:
            self.database = Database(path)
            self.version = self.database.version()
            for resource, raw in self.database.rows():
                if resource in RESOURCES:
                    self._memory.put(RESOURCES[resource], load(raw), raw)
        except (sqlite3.Error, OSError, ValueError, KeyError) as error:
            raise unusable(path, error) from error
        self.history = History(self.version, history)

    def sync(self) -> None:
        """Flush what was written to disk: `Database.sync`."""
        self.database.sync()

    @property
    def closed(self) -> bool:
        return self.database.closed

    def close(self) -> None:
        with self.lock:
            self.database.close()

    # -- reading -----------------------------------------------------------------------------------------------------

    def find(self, resource: Resource, namespace: str, name: str, *, shared: bool = False) -> Object | None:
        """A copy of the object, or None; `shared` gives the stored object itself, which must not be changed."""
        with self.lock:
            entry = self._memory.entry(resource, namespace, name)
            if entry is None:
                return None
            return entry.object if shared else load(entry.raw)

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """A copy of the object; ApiError 404 if it does not exist."""
        found = self.find(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def raw(self, resource: Resource, namespace: str, name: str) -> bytes | None:
        """The object's JSON as stored: the answer to a GET, without parsing."""
        with self.lock:
            entry = self._memory.entry(resource, namespace, name)
            return entry.raw if entry else None

    def uid(self, resource: Resource, namespace: str, name: str) -> str | None:
        """The uid of the object that has this name now; None if no object has it."""
        with self.lock:
            entry = self._memory.entry(resource, namespace, name)
            return entry.object["metadata"]["uid"] if entry else None

    def peek(
        self, resource: Resource, namespace: str | None = None, match: selectors.Match | None = None
    ) -> list[Object]:
        """The matching stored objects themselves, unsorted: for fast readers, which must not change them."""
        with self.lock:
            return [e.object for e in self._memory.entries(resource, namespace) if match is None or match(e.object)]

    def list(
        self, resource: Resource, namespace: str | None = None, match: selectors.Match | None = None
    ) -> List[Object]:
        """Copies of all objects (of one namespace, or of all when it is None or empty) that `match`, sorted by name."""
        return [load(raw) for raw in self.list_raw(resource, namespace, match)[0]]

    def list_raw(
        self, resource: Resource, namespace: str | None = None, match: selectors.Match | None = None
    ) -> tuple[List[bytes], int]:
        """The matching objects as JSON, sorted by namespace and name, and the resourceVersion they belong to."""
        with self.lock:
            found = [e for e in self._memory.entries(resource, namespace) if match is None or match(e.object)]
            found.sort(key=lambda e: (e.object["metadata"].get("namespace", ""), e.object["metadata"]["name"]))
            return [e.raw for e in found], self.version

    def count(self, resource: Resource, namespace: str | None = None) -> int:
        with self.lock:
            return sum(1 for _ in self._memory.entries(resource, namespace))

    def owned(self, uid: str, resource: Resource | None = None, *, shared: bool = False) -> List[Object]:
        """Copies of the objects that name `uid` among their ownerReferences, of one resource or of all; `shared` gives
        the stored objects themselves, which must not be changed: for controllers of many objects."""
        with self.lock:
            return [e.object if shared else load(e.raw) for e in self._memory.owned(uid, resource)]

    # -- writing -----------------------------------------------------------------------------------------------------

    def create(self, resource: Resource, obj: Object, *, dry_run: bool = False) -> Object:
        """Store a new object and return it as stored. `generateName` is supported; 409 if the name is taken, 404 if the
        namespace does not exist, 403 if it is being deleted."""
        with self.lock:
            obj = load(dump(obj))
            head: Object = {"apiVersion": resource.api_version, "kind": resource.kind}
            obj = head | obj
            meta: Object = dict(obj.get("metadata") or {})
            obj["metadata"] = meta
            attempts = 1 if meta.get("name") else ATTEMPTS
            self._name(resource, meta)
            while self._memory.entry(resource, meta.get("namespace", ""), meta["name"]):
                attempts -= 1
                if not attempts:
                    raise already_exists(resource, meta["name"])
                meta["name"] = names.generated(meta["generateName"])
            for stale in ("resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"):
                meta.pop(stale, None)
            meta.update(uid=str(uuid.uuid4()), creationTimestamp=timestamps.now())
            if "spec" in obj and updates.is_counted(resource):
                meta["generation"] = 1
            if self.admit:
                obj = self.admit(self, "CREATE", resource, obj, None)
            return self._write(resource, obj, None, dry_run)

    def _name(self, resource: Resource, meta: Object) -> None:
        if not meta.get("name"):
            if not meta.get("generateName"):
                words = "Required value: name or generateName is required"
                raise invalid(resource, "", [cause("FieldValueRequired", "metadata.name", words)])
            meta["name"] = names.generated(meta["generateName"])
        if not resource.namespaced:
            meta.pop("namespace", None)
            return
        namespace = meta.setdefault("namespace", "default")
        home = self._memory.entry(NAMESPACES, "", namespace)
        if home is None:
            raise not_found(NAMESPACES, namespace)
        if home.object["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            message = f'{resource.qualified} "{meta["name"]}" is forbidden: {why}'
            raise ApiError(403, "Forbidden", message, {"causes": [{"reason": "NamespaceTerminating", "message": why}]})

    def update(self, resource: Resource, obj: Object, *, dry_run: bool = False) -> Object:
        """Replace the object except its status (if the kind has that subresource). A resourceVersion in `obj` must
        match the stored one (409), without one the update is unconditional; a write that changes nothing creates no new
        version."""
        return self._update(resource, obj, "UPDATE", dry_run)

    def update_status(self, resource: Resource, obj: Object, *, dry_run: bool = False) -> Object:
        """Replace the object's status and nothing else; the same rules as `update`."""
        return self._update(resource, obj, "STATUS", dry_run)

    def modify(
        self, resource: Resource, namespace: str, name: str, change: Callable[[Object], Object | None]
    ) -> Object | None:
        """Read the object, let `change` modify it in place (or return another), and write object and status: for
        controllers, which may write both. None if the object is gone."""
        with self.lock:
            obj = self.find(resource, namespace, name)
            if obj is None:
                return None
            return self._update(resource, change(obj) or obj, "BOTH", False)

    def replace(self, resource: Resource, obj: Object, *, keep: bool = False) -> Object | None:
        """Write the whole object, status and all, at its resourceVersion (409): for a controller that has read it and
        changed its own copy. `keep` hands over ownership: the store keeps the content of `obj` itself, which must not
        be changed any more, and so need not read what it just wrote. None if the object is gone."""
        with self.lock:
            namespace, name = key(obj)
            found = self._memory.entry(resource, namespace, name)
            return self._update(resource, obj, "KEEP" if keep else "WHOLE", False) if found else None

    def _update(self, resource: Resource, obj: Object, operation: str, dry_run: bool) -> Object:
        with self.lock:
            meta = obj.get("metadata") or {}
            namespace, name = meta.get("namespace", ""), meta.get("name", "")
            entry = self._memory.entry(resource, namespace, name)
            if entry is None:
                raise not_found(resource, name)
            internal = operation in ("BOTH", "WHOLE", "KEEP")  # a controller's write, which admission does not see
            old = entry.object if internal else load(entry.raw)
            if meta.get("uid") and meta["uid"] != old["metadata"]["uid"]:
                uids = f"UID in precondition: {meta['uid']}, UID in object meta: {old['metadata']['uid']}"
                raise conflict(resource, name, f"Precondition failed: {uids}")
            if meta.get("resourceVersion") and meta["resourceVersion"] != old["metadata"]["resourceVersion"]:
                raise conflict(resource, name)
            new = dict(obj) if operation in ("WHOLE", "KEEP") else load(dump(obj))  # what is written is copied again
            if operation == "STATUS":
                kept = {k: v for k, v in meta.items() if k == "managedFields"}
                new = old | {"metadata": old["metadata"] | kept} | {k: v for k, v in new.items() if k == "status"}
            elif operation == "UPDATE" and resource.status:
                new.pop("status", None)
                if "status" in old:
                    new["status"] = old["status"]
            new["apiVersion"], new["kind"] = resource.api_version, resource.kind
            new["metadata"] = updates.carry(old["metadata"], new["metadata"])
            if self.admit and not internal:
                new = self.admit(self, operation, resource, new, old)
            if updates.is_counted(resource) and updates.is_another(resource, operation, old, new):
                new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
            if new == old:
                return new
            done = new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers")
            if done and not deletion.is_graceful(resource, new):
                return self._remove(resource, new, dry_run)
            return self._write(resource, new, entry, dry_run, keep=operation == "KEEP")

    def _write(
        self, resource: Resource, obj: Object, entry: Entry | None, dry_run: bool, *, keep: bool = False
    ) -> Object:
        if dry_run:
            return obj
        version = self.version + 1
        obj["metadata"]["resourceVersion"] = str(version)
        raw = dump(obj)
        self.database.put(resource, key(obj), version, raw)
        self.version = version
        kept = obj if keep else load(raw)
        self._memory.put(resource, kept, raw)
        kind = "MODIFIED" if entry else "ADDED"
        self._tell(Event(kind, resource, kept, entry.object if entry else None, version, raw), entry)
        return obj

    # -- deleting ----------------------------------------------------------------------------------------------------

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        policy: str = "Background",
        grace: int | None = None,
        uid: str = "",
        version: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Delete the object, or begin to: an object with finalizers and a running pod only get a deletionTimestamp, and
        are removed with the last finalizer or when the kubelet deletes the pod with a grace period of 0. `policy` is
        Background, Foreground or Orphan; `uid` and `version` are preconditions (409). Returns the object's last state.
        """
        with self.lock:
            entry = self._memory.entry(resource, namespace, name)
            if entry is None:
                raise not_found(resource, name)
            obj = load(entry.raw)
            if self.admit:
                self.admit(self, "DELETE", resource, obj, obj)
            meta = obj["metadata"]
            deletion.check_preconditions(resource, meta, uid, version)
            finalizers = deletion.finalizers(meta, policy, self._memory.owns(meta["uid"]))
            deletion.set_grace(resource, obj, grace)
            if finalizers or deletion.is_graceful(resource, obj):
                deletion.begin(resource, meta, finalizers)
                return obj if obj == entry.object else self._write(resource, obj, entry, dry_run)
            return self._remove(resource, obj, dry_run)

    def _remove(self, resource: Resource, obj: Object, dry_run: bool) -> Object:
        if dry_run:
            return obj
        version = self.version + 1
        self.database.remove(resource, key(obj), version)
        self.version = version
        entry = self._memory.remove(resource, *key(obj))
        obj["metadata"]["resourceVersion"] = str(version)
        raw = dump(obj)
        self._tell(Event("DELETED", resource, load(raw), entry.object if entry else None, version, raw), entry)
        return obj

    # -- watching ----------------------------------------------------------------------------------------------------

    def watch(self, call: Callable[[Event], None], since: int | None = None) -> Callable[[], None]:
        """Call `call(event)` for every event after version `since` (now, when None): past events at once, the others as
        they happen, in the writer's thread, under the store's lock: `call` must be fast. Returns a function that ends
        the watch. ApiError 410 if events after `since` are no longer known."""
        with self.lock:
            return self.history.watch(call, since)

    def _tell(self, event: Event, entry: Entry | None) -> None:
        self.history.tell(event, entry.raw if entry else None)
