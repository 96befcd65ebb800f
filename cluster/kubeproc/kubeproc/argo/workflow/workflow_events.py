"""Events about a workflow, in the words of Argo's controller.

Mechanism. The phases before the pass are compared with those after it, once the workflow is written: an event reports only
what is stored.
"""

from __future__ import annotations

from kubeproc.argo.workflow import pod_state
from kubeproc.argo.workflow.nodes import completed
from kubeproc.argo.workflow.operation import Operation
from kubeproc.controllers import events

COMPONENT = "workflow-controller"


def record(op: Operation, phase: str | None, phases: dict[str, str | None]) -> None:
    """Record the changes of phase as events."""
    now = op.status.get("phase")
    if now != phase and now in ("Running", "Succeeded", "Failed", "Error"):
        good = now in ("Running", "Succeeded")
        told = {"Running": "Workflow Running", "Succeeded": "Workflow completed"}
        words: str = told.get(now) or op.status.get("message", "")
        reason = f"Workflow{now if good else 'Failed'}"
        kind = events.NORMAL if good else events.WARNING
        events.record(op.store, op.workflow, kind, reason, words, component=COMPONENT)
    for id, node in op.tree.nodes.items():
        if (phases.get(id), node["phase"]) == ("Running", "Pending"):  # its pod is made again
            words = f"Error node {node['name']}: {pod_state.GONE}"
            events.record(op.store, op.workflow, events.WARNING, "WorkflowNodeError", words, component=COMPONENT)
        if node["phase"] == phases.get(id) or not (completed(node) or node["phase"] == "Running"):
            continue
        kind = events.NORMAL if node["phase"] in ("Running", "Succeeded") else events.WARNING
        words = f"{node['phase']} node {node['name']}" + (f": {node['message']}" if node.get("message") else "")
        events.record(op.store, op.workflow, kind, f"WorkflowNode{node['phase']}", words, component=COMPONENT)
