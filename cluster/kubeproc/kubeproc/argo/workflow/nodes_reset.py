"""Which nodes a retry of a whole workflow removes, and which it sets to Running again.

Mechanism. A failed pod and all that came after it are removed; on the path from the root to it the nodes that contain
it (DAG, steps, groups, retries) run again. All else stays as it is, so that a passed step is not run twice.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

from kubeproc import timestamps
from kubeproc.argo.workflow.nodes import failed, is_retry
from kubeproc.argo.workflow.operation import Object, OperationError

_GROUPS = ("DAG", "TaskGroup", "StepGroup", "Steps")
Nodes = dict[str, Object]


def has_succeeded_below(nodes: Nodes, node: Object, spared: set[str]) -> bool:
    """Whether anything after the node succeeded, but for `spared`."""
    seen: set[str] = set()
    waiting = list(node.get("children") or ())
    while waiting:
        id = waiting.pop()
        if id in seen or id not in nodes:
            continue
        seen.add(id)
        if id not in spared and nodes[id]["phase"] == "Succeeded":
            return True
        waiting += nodes[id].get("children") or ()
    return False


def reset(workflow: str, nodes: Nodes, chosen: Callable[[Object], bool], clock: float) -> tuple[Nodes, list[Object]]:
    """The nodes to go on with, and the pods' nodes that are removed. `chosen` selects nodes to run again although they
    succeeded."""
    starts = {node["id"] for node in nodes.values() if chosen(node)}
    parents = _parents(workflow, nodes)
    for id, node in nodes.items():
        if not failed(node) or node["type"] != "Pod":
            continue
        whole = nodes[parents[id]] if is_retry(node) and id in parents else node
        if not has_succeeded_below(nodes, whole, starts):
            starts.add(id)
    again: set[str] = set()
    removed: set[str] = set()
    for id in _sorted(workflow, nodes):
        if id in starts and id not in removed:
            _remove(nodes, parents, id, again, removed)
    exit_name = f"{workflow}.onExit"
    kept = {
        id: copy.deepcopy(node)
        for id, node in nodes.items()
        if id not in removed and not node["name"].startswith(exit_name)
    }
    for id, node in kept.items():
        if id in again:
            _reopen(node, clock)
        for field in ("children", "outboundNodes"):
            if node.get(field):
                node[field] = [other for other in node[field] if other not in removed]
                if not node[field]:
                    del node[field]
    gone = [node for id, node in nodes.items() if id not in kept and node["type"] == "Pod"]
    return kept, gone


def _parents(workflow: str, nodes: Nodes) -> dict[str, str]:
    parents: dict[str, str] = {}
    for id, node in nodes.items():
        for child in node.get("children") or ():
            parents[child] = id
    for id, node in nodes.items():
        if id not in parents and node["name"] != workflow and not node["name"].startswith(f"{workflow}.onExit"):
            raise OperationError(f"couldn't find parent node for {id}")
    return parents


def _sorted(workflow: str, nodes: Nodes) -> list[str]:
    order, waiting = [], [workflow] if workflow in nodes else []
    seen = set(waiting)
    while waiting:
        id = waiting.pop(0)
        order.append(id)
        for child in nodes[id].get("children") or ():
            if child in nodes and child not in seen:
                seen.add(child)
                waiting.append(child)
    return order


def _remove(nodes: Nodes, parents: dict[str, str], start: str, again: set[str], removed: set[str]) -> None:
    waiting = [start]
    while waiting:
        id = waiting.pop()
        if id not in removed and id in nodes:
            removed.add(id)
            waiting += nodes[id].get("children") or ()
    here = parents.get(start)
    while here is not None:
        node = nodes[here]
        if node["type"] in _GROUPS:
            again.add(here)
            here = _boundaries(nodes, parents, here, again)
            continue
        if node["type"] == "Retry" and failed(node):
            again.add(here)
        here = parents.get(here)
    again -= removed


def _boundaries(nodes: Nodes, parents: dict[str, str], here: str, again: set[str]) -> str | None:
    """Set the group's own groups and boundaries to run again, up to the root; what stands above them."""
    while True:
        above = parents.get(here)
        if above is not None and nodes[above]["type"] == "Retry":
            again.add(above)
            here = above
            above = parents.get(here)
        if above is not None and nodes[above]["type"] in ("StepGroup", "TaskGroup"):
            again.add(above)
        boundary = nodes[here].get("boundaryID")
        if not boundary:
            return above
        while here != boundary:
            if here not in parents:
                raise OperationError("was seeking node but ran out of nodes to explore")
            here = parents[here]
        again.add(here)


def _reopen(node: Object, clock: float) -> None:
    for parameter in (node.get("outputs") or {}).get("parameters") or () if node["type"] == "Suspend" else ():
        parameter.pop("value", None)
        parameter["valueFrom"] = {"supplied": {}}
    if node["phase"] != "Skipped":
        node["phase"] = "Running"
    node.pop("message", None)
    node |= {"startedAt": timestamps.stamp(clock), "finishedAt": None}
