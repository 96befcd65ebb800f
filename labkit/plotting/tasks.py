"""The tasks of a workflow as a graph, from its `status.nodes`: which there are, what each came after, where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VIRTUAL = {"Steps", "StepGroup", "DAG", "TaskGroup", "Retry"}  # Argo's own nodes: they run nothing
Tasks = Mapping[str, Mapping[str, Any]]


def tasks(workflow: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The nodes of a workflow that stand for work, by id, each with `after`, the ids of those it came after, and with
    `attempts`, all nodes of a task that was tried again (its own is the last).

    The edges of Argo's virtual nodes (Steps, DAG, Retry, ...) are contracted. A node that was taken from memory, whose parts
    did not run, stands for them.
    """
    nodes: dict[str, dict[str, Any]] = dict((workflow.get("status") or {}).get("nodes") or {})
    parents: dict[str, set[str]] = {id: set() for id in nodes}
    for id, node in nodes.items():
        for child in node.get("children") or []:
            if child in parents:
                parents[child].add(id)
    hidden = {id for id, node in nodes.items() if node.get("type") in VIRTUAL and not remembered(node)}
    attempts = _attempts(nodes, hidden)
    last = {id: each[-1] for each in attempts for id in each}
    known: dict[str, set[str]] = {}

    def work(id: str) -> set[str]:
        """The tasks that a node stands for as a predecessor: itself, or those before a virtual one."""
        if id not in hidden:
            return {last.get(id, id)}
        if id not in known:
            known[id] = set()  # of a circle, which Argo does not make
            known[id] = set().union(*(work(parent) for parent in parents[id]))
        return known[id]

    every = {each[-1]: [nodes[id] for id in each] for each in attempts}
    found = {}
    for id, node in nodes.items():
        if id in hidden or last.get(id, id) != id:
            continue
        before = set().union(*(work(parent) for parent in parents[id])) - {id}
        found[id] = node | {"after": sorted(before)} | ({"attempts": every[id]} if id in every else {})
    return found


def _attempts(nodes: Mapping[str, Mapping[str, Any]], hidden: set[str]) -> list[list[str]]:
    """The ids of each retried task's attempts, oldest first. Attempts of templates that have tasks of their own are no tasks:
    what ran in each of them is."""
    found = []
    for node in nodes.values():
        if node.get("type") == "Retry":
            tried = [c for c in node.get("children") or [] if c in nodes]
            if tried and not any(id in hidden for id in tried):
                found.append(tried)
    return found


def remembered(node: Mapping[str, Any]) -> bool:
    """Whether the node's result was taken from a cache (memoize)."""
    return bool((node.get("memoizationStatus") or {}).get("hit"))


def levels(found: Tasks) -> dict[str, int]:
    """The column of each task: one more than the furthest of those it came after; exit handlers stand last."""
    waiting = {id: {a for a in node["after"] if a in found} for id, node in found.items()}
    followers: dict[str, list[str]] = {id: [] for id in found}
    for id, before in waiting.items():
        for a in before:
            followers[a].append(id)
    depth = dict.fromkeys(found, 0)
    ready = [id for id, before in waiting.items() if not before]
    while ready:
        id = ready.pop()
        for follower in followers[id]:
            depth[follower] = max(depth[follower], depth[id] + 1)
            waiting[follower].discard(id)
            if not waiting[follower]:
                ready.append(follower)
    last = max((depth[id] for id in found if not at_exit(found[id])), default=-1)
    return {id: column + (last + 1 if at_exit(found[id]) else 0) for id, column in depth.items()}


def places(found: Tasks) -> dict[str, tuple[int, float]]:
    """Where each task is drawn: its column, and a height around 0. In a column who came after what lies above lies above,
    so that few arrows cross; of equals who began first."""
    columns: dict[int, list[str]] = {}
    for id, column in levels(found).items():
        columns.setdefault(column, []).append(id)
    place: dict[str, tuple[int, float]] = {}
    heights: dict[tuple[str, ...], float] = {}  # by what they came after, which many have in common

    def order(id: str) -> tuple[float, str, str]:
        before = tuple(found[id]["after"])
        if before not in heights:
            above = [place[a][1] for a in before if a in place]
            heights[before] = sum(above) / len(above) if above else 0.0
        return -heights[before], found[id].get("startedAt") or "", found[id].get("displayName", "")

    for column in sorted(columns):
        ids = sorted(columns[column], key=order)
        place |= {id: (column, (len(ids) - 1) / 2 - row) for row, id in enumerate(ids)}
    return place


def at_exit(node: Mapping[str, Any]) -> bool:
    """Whether a node belongs to the workflow's exit handler."""
    return ".onExit" in str(node.get("name", ""))
