"""How much may run at once: the workflow's `parallelism`, a template's, and `failFast`, which starts nothing more.

Mechanism. Before a template starts, the pods that run are counted in the nodes: those of the workflow, then those of the steps or
DAG around it. Where there are enough, ParallelismReached leaves the rest to a later pass.
"""

from __future__ import annotations

from collections.abc import Callable

from kubeproc.argo.workflow.nodes import failed
from kubeproc.argo.workflow.operation import Object, Operation
from kubeproc.argo.workflow.turn import ParallelismReached

_FAIL_FAST = "template has failed or errored children and failFast enabled"
_COUNTED = ("Pod", "Steps", "DAG")


def _count(op: Operation, holds: Callable[[Object], bool]) -> int:
    return sum(1 for node in op.tree.nodes.values() if holds(node))


def active_pods(op: Operation, boundary: str = "") -> int:
    """The pods that run or wait to run, of all the workflow or below one node."""
    return _count(
        op,
        lambda node: (
            node["type"] == "Pod"
            and node["phase"] in ("Pending", "Running")
            and (not boundary or node.get("boundaryID") == boundary)
            and not (node.get("synchronizationStatus") or {}).get("waiting")
            and op.pod_exists(node)
        ),
    )


def _active_children(op: Operation, boundary: str) -> int:
    return _count(
        op,
        lambda node: (
            node.get("boundaryID") == boundary and node["type"] in _COUNTED and node["phase"] in ("Pending", "Running")
        ),
    )


def _has_failed_child(op: Operation, boundary: str) -> bool:
    return any(
        node.get("boundaryID") == boundary and node["type"] in _COUNTED and failed(node)
        for node in op.tree.nodes.values()
    )


def check(op: Operation, template: Object, node: Object | None, boundary: str) -> None:
    """Raise ParallelismReached where the template may not start (or go on to start something) now."""
    limit = op.spec.get("parallelism")
    if limit is not None and active_pods(op) >= limit:
        raise ParallelismReached
    if node is not None and (template.get("dag") or template.get("steps")):
        _check_boundary(op, template, node, active_pods)
    if boundary and (node is None or node["phase"] not in ("Pending", "Running")) and boundary in op.running:
        _check_boundary(op, op.running[boundary][0], op.tree.nodes[boundary], _active_children)


def _check_boundary(op: Operation, template: Object, node: Object, active: Callable[[Operation, str], int]) -> None:
    if template.get("failFast") and _has_failed_child(op, node["id"]):
        if active_pods(op, node["id"]) == 0:
            if template.get("steps"):
                groups = [n for n in op.tree.nodes.values()
                          if n["type"] == "StepGroup" and n.get("boundaryID") == node["id"]]  # fmt: skip
                if groups:
                    op.tree.mark(groups[-1]["name"], "Failed", _FAIL_FAST)
            op.tree.mark(node["name"], "Failed", _FAIL_FAST)
        raise ParallelismReached
    if template.get("parallelism") is not None and active(op, node["id"]) >= template["parallelism"]:
        raise ParallelismReached
