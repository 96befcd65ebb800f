"""What happens to pods: `Recorder` watches them, and keeps the history of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from labkit import client
from labkit.plotting import Pod
from labkit.plotting.timeline import ENDED
from labkit.show import past
from labkit.show.family import Family
from labkit.show.pod_history import observe, phase_of
from labkit.show.watching import Watcher, listing, objects

Object = dict[str, Any]


class Recorder:
    """Watches the pods of a namespace (or of all), or of one workflow there and of what its steps have made.

    `history` is {uid: plotting.Pod}. A pod that is made again under its name is another one. Of a workflow it begins with
    what is known of its past; of a namespace with the pods that had not ended when it was begun. Times are of this process
    where it saw a change happen, so they are finer than the objects' whole seconds.
    """

    def __init__(
        self,
        namespace: str | None = None,
        everywhere: bool = False,
        changed: Callable[[], None] | None = None,
        workflow: Object | None = None,
    ) -> None:
        self.namespace = namespace or client.namespace()
        self.everywhere = everywhere
        self.family = Family(self.namespace, workflow) if workflow else None
        self.history: dict[str, Pod] = {}
        self.troubles: dict[str, str] = {}  # what is wrong with each node that is not ready
        self.changed = changed or (lambda: None)
        self._others: dict[str, Object] = {}  # pods that are not looked at, by uid
        self._warnings: dict[str, str] = {}  # the last warning about each pod, by uid
        self._lock = threading.RLock()
        self._watchers = self._make_watchers()

    def _make_watchers(self) -> list[Watcher]:
        where = {} if self.everywhere else {"namespace": self.namespace}
        found = [Watcher(listing("all pods" if self.everywhere else "pods"), self._list_pods, self._note, **where)]
        if self.family:
            warnings = {"namespace": self.namespace, "field_selector": "type=Warning"}
            found.append(Watcher(listing("events"), self._list_warnings, self._warn, **warnings))
            found.append(Watcher(listing("nodes"), self._list_nodes, self._look_at))
        return found

    def __enter__(self) -> Recorder:
        for watcher in self._watchers:
            watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        for watcher in self._watchers:
            watcher.stop()

    @property
    def silent_since(self) -> float | None:
        """When the cluster stopped answering (time.monotonic); None while it answers."""
        return self._watchers[0].silent_since

    def take(self, workflow: Object) -> None:
        """Take a newer version of the workflow: pods may turn out to be what its steps have made."""
        assert self.family
        with self._lock:
            if self.family.update(workflow):
                for found in list(self._others.values()):
                    self._note("ADDED", found, again=True)

    def refresh(self) -> None:
        """Record all that the cluster knows now, including what the watch missed."""
        listed = objects(listing("events"), namespace=self.namespace) if self.family else []
        self._list_pods(self._watchers[0].objects())
        if self.family:
            with self._lock:
                self.history = self.history | past.gone(self.family, listed, self.history)

    # -- what the watches say ----------------------------------------------------------------------------------------

    def _list_pods(self, found: list[Object]) -> None:
        with self._lock:
            there = {pod["metadata"]["uid"] for pod in found}
            for uid, pod in self.history.items():
                if uid not in there and pod.phase not in ENDED:  # it went while nobody watched
                    pod.changes.append((time.time(), "Removed"))
            self._others = {uid: pod for uid, pod in self._others.items() if uid in there}
            if self.everywhere:
                self.history = {uid: pod for uid, pod in self.history.items() if uid in there}
            for pod_object in found:
                self._note("ADDED", pod_object)

    def _note(self, type_: str, found: Object, again: bool = False) -> None:
        uid = found["metadata"]["uid"]
        with self._lock:
            if uid not in self.history:
                known = uid in self._others and not again
                mine = not known and (self.family.has(found) if self.family else phase_of(found) not in ENDED)
                if not mine:
                    self._others[uid] = found
                    if type_ == "DELETED":
                        del self._others[uid]
                    return
                self._others.pop(uid, None)
                self.history = self.history | {uid: Pod(uid, found["metadata"]["name"], owner=self._owner(found))}
            new = observe(self.history[uid], found, time.time(), deleted=type_ == "DELETED")
            if self.everywhere and type_ == "DELETED":  # a cluster's pods are without number
                self.history = {key: pod for key, pod in self.history.items() if key != uid}
        if new:
            self.changed()

    def _owner(self, found: Object) -> tuple[str, str, str]:
        for reference in found["metadata"].get("ownerReferences") or []:
            if reference["kind"] != "Workflow":
                owner = self.family.owner(reference) if self.family and reference["kind"] != "ReplicaSet" else None
                generated = ((owner or {}).get("metadata") or {}).get("generateName") or ""
                return reference["kind"], reference["name"], generated
        return "", "", ""

    def _list_warnings(self, found: list[Object]) -> None:
        for event in sorted(found, key=past.when):
            self._warn("ADDED", event)

    def _warn(self, type_: str, event: Object) -> None:
        if type_ != "DELETED":
            said = " ".join(str(event.get("message") or "").split())
            self._warnings[event["involvedObject"].get("uid", "")] = f"{event.get('reason')}: {said}"
            self.changed()

    def _list_nodes(self, found: list[Object]) -> None:
        for node in found:
            self._look_at("ADDED", node)

    def _look_at(self, type_: str, node: Object) -> None:
        conditions = (node.get("status") or {}).get("conditions") or []
        ready = next((c for c in conditions if c.get("type") == "Ready"), None)
        name = node["metadata"]["name"]
        before = self.troubles.get(name)
        if type_ == "DELETED" or ready is None or ready.get("status") == "True":
            self.troubles.pop(name, None)
        else:
            self.troubles[name] = str(ready.get("message") or ready.get("reason") or "it is not ready")
        if self.troubles.get(name) != before:
            self.changed()

    def reasons(self) -> dict[str, str]:
        """Why each waiting pod waits, by uid: what its status says, or else the last warning about it."""
        found = {}
        for uid, pod in self.history.items():
            if pod.phase == "Pending":
                found[uid] = pod.why or self._warnings.get(uid, "")
        return found
