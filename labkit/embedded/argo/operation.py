"""One pass over one workflow: its nodes, its variables and its live pods, and how nodes begin, change and join.

Mechanism. A pass reads the workflow, walks its templates from the entrypoint, starts what can start and writes the
workflow back if anything changed. Nothing is kept between passes but what is in the store, so a pass after a crash goes
on where the last write left off: names of nodes and pods are derived, what exists is not made again.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

from labkit.embedded.argo import gotext, names
from labkit.embedded.argo.spec import Source, Templates
from labkit.embedded.resources import PODS
from labkit.embedded.store import Store

Object = dict[str, Any]

COMPLETED = ("Succeeded", "Failed", "Error")
FAILURES = ("Failed", "Error")
LONGEST_PASS = 0.03  # seconds of CPU for which new pods are made before others get their turn
_SEPARATOR = re.compile(r"^(\[\d+\])?\.")


class OperationError(Exception):
    """Something in the workflow cannot be done; the words become a node's message."""


class ParallelismReached(Exception):
    """Not now: enough is running already."""


class DepthExceeded(OperationError):
    """Templates call each other without an end."""


class TimedOut(OperationError):
    """A template's `timeout` has passed before its pod ran."""


def fulfilled(node: Object) -> bool:
    """Whether the node needs nothing more: it has completed, or was skipped or omitted."""
    return node.get("phase") in ("Succeeded", "Failed", "Error", "Skipped", "Omitted")


def completed(node: Object) -> bool:
    return node.get("phase") in COMPLETED


def failed(node: Object) -> bool:
    return node.get("phase") in FAILURES


def is_hook(node: Object) -> bool:
    return bool((node.get("nodeFlag") or {}).get("hooked"))


def is_retry(node: Object) -> bool:
    return bool((node.get("nodeFlag") or {}).get("retried"))


@dataclass
class Operation:
    """`variables` are the global ones; `running` the processed templates of the nodes with children that this pass has
    come through; `again` the seconds after which the workflow has to be looked at without an event."""

    workflow: Object
    store: Store
    clock: float
    spec: Object = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    templates: Templates = None  # type: ignore[assignment]
    volumes: list[Object] = field(default_factory=list)
    pods: dict[str, Object] = field(default_factory=dict)
    running: dict[str, tuple[Object, Source]] = field(default_factory=dict)
    deadline: float | None = None
    again: float | None = None
    changed: bool = False
    depth: int = 0
    made: int = 0  # pods in this pass
    begun: float = field(default_factory=time.thread_time)
    _children: dict[str, set[str]] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        meta = self.workflow["metadata"]
        self.name: str = meta["name"]
        self.namespace: str = meta["namespace"]
        self.status: Object = self.workflow.setdefault("status", {})
        self.nodes: dict[str, Object] = self.status.setdefault("nodes", {})

    # -- nodes -------------------------------------------------------------------------------------------------------

    def id(self, name: str) -> str:
        return names.node_id(self.name, name)

    def node(self, name: str) -> Object | None:
        return self.nodes.get(names.node_id(self.name, name))

    def start(
        self,
        name: str,
        type: str,
        holder: Object,
        scope: str,
        boundary: str = "",
        phase: str = "Running",
        *,
        flag: Object | None = None,
        message: str = "",
        template: Object | None = None,
    ) -> Object:
        """A new node. `holder` is the step, task or hook it stands for; `template` the processed one, whose inputs the
        node shows."""
        id = self.id(name)
        boundary_node = self.nodes.get(boundary)
        shown = name.removeprefix(boundary_node["name"]) if boundary_node else name
        now = gotext.stamp(self.clock)
        node: Object = {
            "id": id,
            "name": name,
            "displayName": _SEPARATOR.sub("", shown) if boundary_node else name,
            "type": type,
            "templateName": holder.get("template") or holder.get("templateName"),
            "templateRef": holder.get("templateRef"),
            "templateScope": scope,
            "phase": phase,
            "boundaryID": boundary,
            "message": message,
            "startedAt": now,
            "finishedAt": now if phase in (*COMPLETED, "Skipped", "Omitted") else None,
            "nodeFlag": flag,
        }
        if type == "Pod":
            node["taskResultSynced"] = True
        if template and (template.get("inputs") or {}):
            shown_inputs = {k: v for k, v in template["inputs"].items() if v}
            node["inputs"] = shown_inputs or None
        node = {k: v for k, v in node.items() if v not in (None, "") or k == "finishedAt"}
        self.nodes[id] = node
        self.changed = True
        return node

    def fail_to_start(
        self, name: str, holder: Object, scope: str, boundary: str, flag: Object | None, message: str
    ) -> Object:
        """Mark the node as errored, making it first where it is not there."""
        if self.node(name) is not None:
            return self.mark(name, "Error", message)
        return self.start(name, "Skipped", holder, scope, boundary, "Error", flag=flag, message=message)

    def mark(self, name: str, phase: str, message: str | None = None) -> Object:
        """Bring a node to `phase`; None leaves the message as it is."""
        node = self.nodes[self.id(name)]
        if node.get("phase") != phase:
            node["phase"] = phase
            self.changed = True
        if message is not None and message != node.get("message", ""):
            node["message"] = message
            if not message:
                del node["message"]
            self.changed = True
        if fulfilled(node) and not node.get("finishedAt"):
            node["finishedAt"] = gotext.stamp(self.clock)
            self.changed = True
        return node

    def set(self, node: Object, key: str, value: Any) -> None:
        """Give a node a field; None takes it away."""
        if node.get(key) == value:
            return
        if value is None:
            del node[key]
        else:
            node[key] = value
        self.changed = True

    def adopt(self, parent: str, child: str) -> None:
        """Draw an edge in the tree."""
        parent_id, child_id = self.id(parent), self.id(child)
        node = self.nodes.get(parent_id)
        if node is None:
            return
        known = self._children.get(parent_id)
        if known is None:
            known = self._children[parent_id] = set(node.get("children") or ())
        if child_id not in known:
            known.add(child_id)
            node.setdefault("children", []).append(child_id)
            self.changed = True

    def children(self, node: Object) -> list[Object]:
        return [self.nodes[id] for id in node.get("children") or () if id in self.nodes]

    def attempts(self, node: Object) -> list[Object]:
        """The attempts of a retry node, without its hooks."""
        return [child for child in self.children(node) if is_retry(child)]

    def outbound(self, id: str) -> list[str]:
        """The nodes after which what follows the given one begins."""
        node = self.nodes.get(id)
        if node is None:
            return []
        kind = node["type"]
        if kind in ("Skipped", "Suspend", "Pod"):
            return [id]
        if kind == "TaskGroup":
            kids = node.get("children") or []
            return [leaf for child in kids for leaf in self.outbound(child)] if kids else [id]
        if kind == "Retry" and node.get("children"):
            return [node["children"][-1]]
        if kind in ("Steps", "DAG") and (node.get("memoizationStatus") or {}).get("hit"):
            return [id]
        return [leaf for child in node.get("outboundNodes") or () for leaf in self.outbound(child)]

    def set_outbound(self, name: str, ids: list[str]) -> None:
        node = self.nodes[self.id(name)]
        self.set(node, "outboundNodes", list(dict.fromkeys(ids)) or None)

    def in_exit_handler(self, node: Object) -> bool:
        """Whether the node runs for an exit handler, which shutdown and deadline spare."""
        while not node["displayName"].endswith(".onExit"):
            boundary = self.nodes.get(node.get("boundaryID", ""))
            if boundary is None:
                return False
            node = boundary
        return True

    def parent_text(self, id: str) -> str:
        """The JSON of the template that a node with children runs."""
        if id not in self._texts:
            self._texts[id] = json.dumps(self.running[id][0], ensure_ascii=False)
        return self._texts[id]

    # -- pods --------------------------------------------------------------------------------------------------------

    def pod_name(self, node: str, template: str) -> str:
        if self.workflow["metadata"].get("annotations", {}).get(names.POD_NAME_FORMAT) == "v1":
            return self.id(node)
        return names.pod_name(self.name, node, template)

    def pod_exists(self, node: Object) -> bool:
        if node["id"] in self.pods:
            return True
        return self.store.raw(PODS, self.namespace, self.pod_name(node["name"], names.template_of(node))) is not None

    def spend(self) -> None:
        """Before a pod is made: ParallelismReached, with another pass at once, where this one has taken its time."""
        if self.made and time.thread_time() - self.begun > LONGEST_PASS:
            self.again = 0.0
            raise ParallelismReached
        self.made += 1

    # -- time and shutdown -------------------------------------------------------------------------------------------

    def wake_at(self, moment: float) -> None:
        """Ask for another pass at `moment` (seconds since the epoch)."""
        delay = max(moment - self.clock, 0.01)
        self.again = delay if self.again is None else min(self.again, delay)

    @property
    def shutdown(self) -> str:
        return self.spec.get("shutdown") or ""

    def may_execute(self, on_exit: bool) -> bool:
        """Whether a pod may still start: `Terminate` forbids all, `Stop` all but exit handlers."""
        return not self.shutdown or (self.shutdown == "Stop" and on_exit)

    @property
    def past_deadline(self) -> bool:
        return self.deadline is not None and self.clock > self.deadline
