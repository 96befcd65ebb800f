"""The nodes of a workflow, as its `status.nodes` holds them: how they begin, change and join.

Names of nodes are derived from the workflow's templates, ids from names, so a pass after a crash finds what an earlier one has
made. `NodeTree.changed` says whether there is anything to write.
"""

from __future__ import annotations

import re
from typing import Any

from kubeproc import timestamps
from kubeproc.argo.templates import node_names

Object = dict[str, Any]

COMPLETED = ("Succeeded", "Failed", "Error")
FAILURES = ("Failed", "Error")
_SEPARATOR = re.compile(r"^(\[\d+\])?\.")


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


class NodeTree:
    """`nodes` are those of the workflow called `name`, by id; `clock` is the time of the pass, in seconds since the epoch."""

    def __init__(self, name: str, nodes: dict[str, Object], clock: float) -> None:
        self.workflow, self.nodes, self.clock = name, nodes, clock
        self.changed = False
        self._children: dict[str, set[str]] = {}
        self._grown: set[str] = set()

    def id(self, name: str) -> str:
        return node_names.node_id(self.workflow, name)

    def node(self, name: str) -> Object | None:
        return self.nodes.get(node_names.node_id(self.workflow, name))

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
        now = timestamps.stamp(self.clock)
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
            node["finishedAt"] = timestamps.stamp(self.clock)
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
            if parent_id not in self._grown:
                self._grown.add(parent_id)
                node["children"] = list(node.get("children") or ())  # the list that was there is the store's
            node["children"].append(child_id)
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
