"""The cluster's state: every object, durable in SQLite, with one monotonic resourceVersion and events to watch.

Mechanism. Objects live in memory as JSON bytes; each write is one SQLite transaction in WAL mode, made before the
memory changes and before anyone hears of it, so that a SIGKILL costs nothing acknowledged (`sync()`, called every
second, bounds what a power cut costs). Whoever watches is called synchronously after the commit, in order. The history
of events is in memory only: a watch that resumes from a version older than the history, or than this process, gets 410
and lists again, as on a real API server.

The store knows what all kinds share: names, uids, versions, generations, the status subresource, graceful deletion,
finalizers, owners. What one kind needs (defaults, validation) comes in through `admit`. Objects handed out are the
caller's own copies; those in an `Event` are shared and must not be changed.
"""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labkit.embedded import names, selectors
from labkit.embedded.resources import DEPLOYMENTS, NAMESPACES, PODS, RESOURCES, Resource
from labkit.embedded.status import ApiError, already_exists, cause, conflict, gone, invalid, not_found
from labkit.errors import LabError

Object = dict[str, Any]
List = list  # the class below has a method of that name
Key = tuple[str, str]  # namespace ("" for cluster-scoped), name
Admit = Callable[["Store", str, Resource, Object, Object | None], Object]

SCHEMA_VERSION = 1
HISTORY_BYTES = 8 * 2**20  # of JSON that the history may hold, however few the events
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


def now() -> str:
    """The time as Kubernetes writes it: RFC 3339, UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def dump(obj: Any) -> bytes:
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


@dataclass
class Event:
    """One change: `type` is ADDED, MODIFIED or DELETED; `previous` the object before it (None when added)."""

    type: str
    resource: Resource
    object: Object
    previous: Object | None
    version: int
    raw: bytes = field(repr=False)  # the object as JSON

    @property
    def key(self) -> Key:
        meta = self.object["metadata"]
        return meta.get("namespace", ""), meta["name"]


@dataclass(slots=True)
class _Past:
    """An event as the history keeps it: unparsed, since few are ever asked for again."""

    type: str
    resource: Resource
    version: int
    raw: bytes
    previous: bytes | None

    def event(self) -> Event:
        before = json.loads(self.previous) if self.previous else None
        return Event(self.type, self.resource, json.loads(self.raw), before, self.version, self.raw)


@dataclass
class _Entry:
    raw: bytes
    object: Object  # never handed out uncopied, never changed in place
    version: int


def _counted(resource: Resource) -> bool:
    """Whether the kind counts the generations of its spec: Services, namespaces, claims and nodes do not."""
    return resource.custom or resource is PODS or resource.group in ("apps", "batch")


def _another(resource: Resource, operation: str, old: Object, new: Object) -> bool:
    """Whether a write makes another generation: of the spec, of a Deployment's annotations too; a pod's binding is none."""
    notes = [obj["metadata"].get("annotations") or {} for obj in (old, new)]
    if operation == "UPDATE" and resource is DEPLOYMENTS and notes[0] != notes[1]:
        return True
    before, after = old.get("spec"), new.get("spec")
    if resource is PODS and before and after and not before.get("nodeName"):
        after = {k: v for k, v in after.items() if k != "nodeName"}
    return before != after


class Store:
    """`path` is the database's file, or None for one in memory; `admit(store, operation, resource, new, old)` gives the
    object as it shall be stored, or raises ApiError; operation is CREATE, UPDATE, STATUS or DELETE."""

    def __init__(self, path: Path | None, *, admit: Admit | None = None, history: int = 20_000) -> None:
        self.admit = admit
        self.lock = threading.RLock()
        self._objects: dict[str, dict[str, dict[str, _Entry]]] = {key: {} for key in RESOURCES}
        self._owned: dict[str, set[tuple[str, str, str]]] = {}  # owner's uid -> (resource, namespace, name)
        self._history: deque[_Past] = deque()
        self._history_length, self._history_bytes = history, 0
        self._watchers: dict[int, Callable[[Event], None]] = {}
        self._next_watcher = 0
        self._dirty = self.closed = False
        try:
            _keep_private(path)
            self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
            self._open()
        except (sqlite3.Error, OSError, ValueError, KeyError) as error:
            raise _unusable(path, error) from error
        # A checkpoint waits for the disk: it has a connection of its own, so that nobody waits for it.
        self._disk = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        self._syncing = threading.Lock()

    # -- the database ------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA busy_timeout=5000")
        self._db.execute("PRAGMA wal_autocheckpoint=20000")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > SCHEMA_VERSION:
            raise LabError(
                f"the cluster's database has schema {found}, this labkit knows {SCHEMA_VERSION} at most",
                "use the labkit that made it, or delete the cluster's state: labkit down --purge",
            )
        for step in range(found, SCHEMA_VERSION):
            for statement in UPGRADES[step]:
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version={step + 1}")
        row = self._db.execute("SELECT value FROM meta WHERE name='version'").fetchone()
        self.version = int(row[0]) if row else 1
        for resource, body in self._db.execute("SELECT resource, body FROM object ORDER BY version"):
            if resource in self._objects:
                obj = json.loads(body)
                self._remember(RESOURCES[resource], obj, bytes(body))
        self._oldest = self.version  # nothing older can be replayed

    def _commit(self, statement: str, values: tuple[Any, ...], version: int) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(statement, values)
            self._db.execute("INSERT OR REPLACE INTO meta(name, value) VALUES('version', ?)", (str(version),))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            message = f"the cluster's database can't be written ({error}): is the disk full or read-only?"
            raise ApiError(507, "InsufficientStorage", message) from error
        self._dirty = True

    def sync(self) -> None:
        """Bring what was written to the disk itself; cheap when nothing was. Safe from another thread. sqlite3.Error where
        the disk is full: what was written is safe from a kill all the same."""
        with self._syncing:
            if self._dirty and not self.closed:
                self._dirty = False
                try:
                    self._disk.execute("PRAGMA wal_checkpoint(PASSIVE)")
                except sqlite3.Error:
                    self._dirty = True
                    raise

    def close(self) -> None:
        with self.lock, self._syncing:
            self.closed = True
            self._disk.close()
            self._db.close()

    # -- memory ------------------------------------------------------------------------------------------------------

    def _remember(self, resource: Resource, obj: Object, raw: bytes) -> None:
        meta = obj["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        self._forget(resource, namespace, name)
        entry = _Entry(raw, obj, int(meta["resourceVersion"]))
        self._objects[resource.qualified].setdefault(namespace, {})[name] = entry
        for owner in meta.get("ownerReferences") or ():
            self._owned.setdefault(owner["uid"], set()).add((resource.qualified, namespace, name))

    def _forget(self, resource: Resource, namespace: str, name: str) -> _Entry | None:
        entry = self._objects[resource.qualified].get(namespace, {}).pop(name, None)
        for owner in (entry.object["metadata"].get("ownerReferences") or ()) if entry else ():
            siblings = self._owned.get(owner["uid"], set())
            siblings.discard((resource.qualified, namespace, name))
            if not siblings:
                self._owned.pop(owner["uid"], None)
        return entry

    def _entry(self, resource: Resource, namespace: str, name: str) -> _Entry | None:
        return self._objects[resource.qualified].get(namespace if resource.namespaced else "", {}).get(name)

    def _entries(self, resource: Resource, namespace: str | None) -> Iterator[_Entry]:
        spaces = self._objects[resource.qualified]
        for space in [spaces.get(namespace, {})] if namespace else list(spaces.values()):
            yield from list(space.values())

    # -- reading -----------------------------------------------------------------------------------------------------

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """A copy of the object, or None."""
        with self.lock:
            entry = self._entry(resource, namespace, name)
            return json.loads(entry.raw) if entry else None

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """A copy of the object; ApiError 404 where there is none."""
        found = self.find(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def raw(self, resource: Resource, namespace: str, name: str) -> bytes | None:
        """The object's JSON as stored: what a GET answers, without parsing it."""
        with self.lock:
            entry = self._entry(resource, namespace, name)
            return entry.raw if entry else None

    def uid(self, resource: Resource, namespace: str, name: str) -> str | None:
        """The uid of the object that has this name now; None where there is none."""
        with self.lock:
            entry = self._entry(resource, namespace, name)
            return entry.object["metadata"]["uid"] if entry else None

    def peek(
        self, resource: Resource, namespace: str | None = None, match: selectors.Match | None = None
    ) -> list[Object]:
        """The matching objects themselves, in no order: for readers in a hurry, who must not change them."""
        with self.lock:
            return [e.object for e in self._entries(resource, namespace) if match is None or match(e.object)]

    def list(
        self, resource: Resource, namespace: str | None = None, match: selectors.Match | None = None
    ) -> List[Object]:
        """Copies of all objects (of one namespace, or of all when it is None or empty) that `match`, sorted by name."""
        return [json.loads(raw) for raw in self.list_raw(resource, namespace, match)[0]]

    def list_raw(
        self, resource: Resource, namespace: str | None = None, match: selectors.Match | None = None
    ) -> tuple[List[bytes], int]:
        """The matching objects as JSON, sorted by namespace and name, and the resourceVersion they belong to."""
        with self.lock:
            found = [e for e in self._entries(resource, namespace) if match is None or match(e.object)]
            found.sort(key=lambda e: (e.object["metadata"].get("namespace", ""), e.object["metadata"]["name"]))
            return [e.raw for e in found], self.version

    def count(self, resource: Resource, namespace: str | None = None) -> int:
        with self.lock:
            return sum(1 for _ in self._entries(resource, namespace))

    def owned(self, uid: str, resource: Resource | None = None, *, shared: bool = False) -> List[Object]:
        """Copies of the objects that name `uid` among their ownerReferences, of one resource or of all; `shared` gives
        the stored objects themselves, which must not be changed: for controllers of many objects."""
        with self.lock:
            keys = sorted(k for k in self._owned.get(uid, ()) if resource is None or k[0] == resource.qualified)
            entries = [self._entry(RESOURCES[r], ns, name) for r, ns, name in keys]
            return [e.object if shared else json.loads(e.raw) for e in entries if e]

    # -- writing -----------------------------------------------------------------------------------------------------

    def create(self, resource: Resource, obj: Object, *, dry_run: bool = False) -> Object:
        """Store a new object and return it as stored. `generateName` is honoured; 409 where the name is taken, 404
        where the namespace does not exist, 403 where it is being deleted."""
        with self.lock:
            obj = json.loads(dump(obj))
            head: Object = {"apiVersion": resource.api_version, "kind": resource.kind}
            obj = head | obj
            meta: Object = dict(obj.get("metadata") or {})
            obj["metadata"] = meta
            self._name(resource, meta)
            if self._entry(resource, meta.get("namespace", ""), meta["name"]):
                raise already_exists(resource, meta["name"])
            for stale in ("resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"):
                meta.pop(stale, None)
            meta.update(uid=str(uuid.uuid4()), creationTimestamp=now())
            if "spec" in obj and _counted(resource):
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
        home = self._entry(NAMESPACES, "", namespace)
        if home is None:
            raise not_found(NAMESPACES, namespace)
        if home.object["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            message = f'{resource.qualified} "{meta["name"]}" is forbidden: {why}'
            raise ApiError(403, "Forbidden", message, {"causes": [{"reason": "NamespaceTerminating", "message": why}]})

    def update(self, resource: Resource, obj: Object, *, dry_run: bool = False) -> Object:
        """Replace the object but for its status (where the kind has that subresource). A resourceVersion in `obj` must
        be the stored one (409), none is unconditional; a write that changes nothing makes no new version."""
        return self._update(resource, obj, "UPDATE", dry_run)

    def update_status(self, resource: Resource, obj: Object, *, dry_run: bool = False) -> Object:
        """Replace the object's status and nothing else; the same rules as `update`."""
        return self._update(resource, obj, "STATUS", dry_run)

    def modify(
        self, resource: Resource, namespace: str, name: str, change: Callable[[Object], Object | None]
    ) -> Object | None:
        """Read, `change` in place (or return another), write object and status: for controllers, which may do both.
        None where the object is gone."""
        with self.lock:
            obj = self.find(resource, namespace, name)
            if obj is None:
                return None
            return self._update(resource, change(obj) or obj, "BOTH", False)

    def _update(self, resource: Resource, obj: Object, operation: str, dry_run: bool) -> Object:
        with self.lock:
            meta = obj.get("metadata") or {}
            namespace, name = meta.get("namespace", ""), meta.get("name", "")
            entry = self._entry(resource, namespace, name)
            if entry is None:
                raise not_found(resource, name)
            old = json.loads(entry.raw)
            if meta.get("uid") and meta["uid"] != old["metadata"]["uid"]:
                uids = f"UID in precondition: {meta['uid']}, UID in object meta: {old['metadata']['uid']}"
                raise conflict(resource, name, f"Precondition failed: {uids}")
            if meta.get("resourceVersion") and meta["resourceVersion"] != old["metadata"]["resourceVersion"]:
                raise conflict(resource, name)
            new = json.loads(dump(obj))
            if operation == "STATUS":
                kept = {k: v for k, v in meta.items() if k == "managedFields"}
                new = old | {"metadata": old["metadata"] | kept} | {k: v for k, v in new.items() if k == "status"}
            elif operation == "UPDATE" and resource.status:
                new.pop("status", None)
                if "status" in old:
                    new["status"] = old["status"]
            new["apiVersion"], new["kind"] = resource.api_version, resource.kind
            new["metadata"] = self._carry(old["metadata"], new["metadata"])
            if self.admit and operation != "BOTH":
                new = self.admit(self, operation, resource, new, old)
            if _counted(resource) and _another(resource, operation, old, new):
                new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
            if new == old:
                return new
            done = new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers")
            if done and not self._graceful(resource, new):
                return self._remove(resource, new, dry_run)
            return self._write(resource, new, entry, dry_run)

    @staticmethod
    def _carry(old: Object, new: Object) -> Object:
        """The metadata after an update: what the server owns comes from the stored object."""
        owned = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
        kept = {k: old[k] for k in (*owned, "name", "namespace", "generateName", "resourceVersion") if k in old}
        return {k: v for k, v in new.items() if k not in (*owned, "selfLink")} | kept

    def _write(self, resource: Resource, obj: Object, entry: _Entry | None, dry_run: bool) -> Object:
        if dry_run:
            return obj
        version = self.version + 1
        obj["metadata"]["resourceVersion"] = str(version)
        raw, meta = dump(obj), obj["metadata"]
        row = (resource.qualified, meta.get("namespace", ""), meta["name"], version, raw)
        statement = "INSERT OR REPLACE INTO object(resource, namespace, name, version, body) VALUES(?, ?, ?, ?, ?)"
        self._commit(statement, row, version)
        self.version = version
        kept = json.loads(raw)
        self._remember(resource, kept, raw)
        kind, before = ("MODIFIED", entry.object) if entry else ("ADDED", None)
        self._tell(Event(kind, resource, kept, before, version, raw), entry)
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
        """Delete the object, or begin to: with finalizers, and for a pod that runs, it only gets a deletionTimestamp
        and goes when the last finalizer is removed or the kubelet has deleted it with a grace of 0. `policy` is
        Background, Foreground or Orphan; `uid` and `version` are preconditions (409). Returns the object's last state.
        """
        with self.lock:
            entry = self._entry(resource, namespace, name)
            if entry is None:
                raise not_found(resource, name)
            obj = json.loads(entry.raw)
            if self.admit:
                self.admit(self, "DELETE", resource, obj, obj)
            meta = obj["metadata"]
            self._check_preconditions(resource, meta, uid, version)
            finalizers = [f for f in meta.get("finalizers") or [] if f not in (FOREGROUND, ORPHAN)]
            if policy == "Foreground" and self._owned.get(meta["uid"]):
                finalizers.append(FOREGROUND)
            if policy == "Orphan" and self._owned.get(meta["uid"]):
                finalizers.append(ORPHAN)
            self._set_grace(resource, obj, grace)
            if finalizers or self._graceful(resource, obj):
                if not meta.get("deletionTimestamp"):
                    meta["deletionTimestamp"] = now()
                    if resource is not NAMESPACES:
                        meta.setdefault("deletionGracePeriodSeconds", 0)
                    if meta.get("generation"):
                        meta["generation"] += 1
                meta["finalizers"] = finalizers
                if not finalizers:
                    del meta["finalizers"]
                return obj if obj == entry.object else self._write(resource, obj, entry, dry_run)
            return self._remove(resource, obj, dry_run)

    @staticmethod
    def _check_preconditions(resource: Resource, meta: Object, uid: str, version: str) -> None:
        after = {"UID": "been deleted and then recreated", "ResourceVersion": "been modified"}
        for what, want, have in (("UID", uid, meta["uid"]), ("ResourceVersion", version, meta["resourceVersion"])):
            if want and want != have:
                why = f"the {what} in the precondition ({want}) does not match the {what} in record ({have}). "
                kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
                words = f'Operation cannot be fulfilled on {kind} "{meta["name"]}": {why}The object might have {after[what]}'
                details = {"name": meta["name"], "group": resource.group, "kind": resource.kind}
                raise ApiError(409, "Conflict", words, {k: v for k, v in details.items() if v})

    @staticmethod
    def _set_grace(resource: Resource, obj: Object, grace: int | None) -> None:
        if resource is not PODS:
            return
        if grace is None:
            grace = obj["spec"].get("terminationGracePeriodSeconds", 30)
        before = obj["metadata"].get("deletionGracePeriodSeconds")
        phase = (obj.get("status") or {}).get("phase")
        if not obj["spec"].get("nodeName") or phase in ("Succeeded", "Failed"):
            grace = 0  # nobody runs it: there is nothing to wait for
        obj["metadata"]["deletionGracePeriodSeconds"] = grace if before is None else min(before, grace)

    @staticmethod
    def _graceful(resource: Resource, obj: Object) -> bool:
        """Whether somebody (a pod's kubelet, a namespace's controller) has to end what the object stands for first."""
        if resource is NAMESPACES:
            return bool((obj.get("spec") or {}).get("finalizers"))
        return resource is PODS and (obj["metadata"].get("deletionGracePeriodSeconds") or 0) > 0

    def _remove(self, resource: Resource, obj: Object, dry_run: bool) -> Object:
        if dry_run:
            return obj
        meta = obj["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        version = self.version + 1
        self._commit(
            "DELETE FROM object WHERE resource=? AND namespace=? AND name=?",
            (resource.qualified, namespace, name),
            version,
        )
        self.version = version
        entry = self._forget(resource, namespace, name)
        meta["resourceVersion"] = str(version)
        raw = dump(obj)
        before = entry.object if entry else None
        self._tell(Event("DELETED", resource, json.loads(raw), before, version, raw), entry)
        return obj

    # -- watching ----------------------------------------------------------------------------------------------------

    def _tell(self, event: Event, entry: _Entry | None) -> None:
        self._history.append(_Past(event.type, event.resource, event.version, event.raw, entry.raw if entry else None))
        self._history_bytes += len(event.raw)
        while len(self._history) > self._history_length or self._history_bytes > HISTORY_BYTES:
            past = self._history.popleft()
            self._oldest = past.version
            self._history_bytes -= len(past.raw)
        for call in list(self._watchers.values()):
            call(event)

    def watch(self, call: Callable[[Event], None], since: int | None = None) -> Callable[[], None]:
        """Call `call(event)` for every event after version `since` (now, when None): those that are past at once, the
        others as they happen, in the writer's thread, under the store's lock: do little there. Returns what ends it.
        ApiError 410 where events after `since` are no longer known."""
        with self.lock:
            if since is not None:
                if since < self._oldest:
                    raise gone(self._oldest, since)
                missed = itertools.takewhile(lambda e: e.version > since, reversed(self._history))
                for past in reversed(list(missed)):
                    call(past.event())
            number = self._next_watcher = self._next_watcher + 1
            self._watchers[number] = call
        return lambda: self._watchers.pop(number, None) and None


def _keep_private(path: Path | None) -> None:
    """Make the file, if need be, so that its owner alone may read it: there are Secrets in it. SQLite gives the files
    beside it the same mode."""
    if path:
        for part in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            if part.exists():
                part.chmod(0o600)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _unusable(path: Path | None, error: Exception) -> LabError:
    """Why a database can't be opened, and what helps."""
    if isinstance(error, sqlite3.OperationalError | OSError):  # of the system around it, not of the file
        hint = f"is the disk full, or {path} not yours to write?"
        return LabError(f"the cluster's database {path} can't be opened: {error}", hint)
    hint = "put a copy of it back, or begin anew: labkit down --purge deletes the cluster's state"
    return LabError(f"the cluster's database {path} is damaged: {error}", hint)


UPGRADES: list[list[str]] = [
    [  # 0 -> 1
        "CREATE TABLE object(resource TEXT, namespace TEXT, name TEXT, version INTEGER, body BLOB,"
        " PRIMARY KEY(resource, namespace, name)) WITHOUT ROWID",
        "CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT)",
    ],
]
