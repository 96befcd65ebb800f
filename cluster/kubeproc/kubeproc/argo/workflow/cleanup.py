"""What is cleared away: pods that are done with, claims made for the workflow, reported results, old workflows.

Mechanism. A pod whose node has ended is deleted when `podGC` says so, some seconds later, for whoever reads its log. Any other
gets the label `completed`, and later passes do not look at it. When the workflow ends, the claims made for it and what the
executors reported go; the workflow itself goes when its `ttlStrategy` says so.
"""

from __future__ import annotations

from kubeproc import selectors, timestamps
from kubeproc.api_errors import ApiError
from kubeproc.argo.language import go_text
from kubeproc.argo.templates import node_names
from kubeproc.argo.workflow.nodes import fulfilled
from kubeproc.argo.workflow.operation import Object, Operation
from kubeproc.resources import CLAIMS, PODS, WORKFLOWS, WORKFLOWTASKRESULTS

_DELAY = 5.0  # seconds a pod is kept for whoever reads its log
_ENDED = ("Succeeded", "Failed", "Error")


def pods(op: Operation) -> None:
    """Label or delete the pods whose nodes have ended, as `podGC` says."""
    gc = op.spec.get("podGC") or {}
    chosen = selectors.from_spec(gc.get("labelSelector")) if gc else None
    for id, pod in op.pods.items():
        node = op.tree.nodes.get(id)
        if node is None or not fulfilled(node):
            continue
        action = "label" if chosen is None or not chosen(pod) else _action(op, gc.get("strategy") or "", pod)
        if action == "label":
            _label(op, pod)
        elif action == "delete":
            _delete_later(op, pod, node, gc)


def _action(op: Operation, strategy: str, pod: Object) -> str:
    phase, ended = (pod.get("status") or {}).get("phase"), op.status.get("phase") in _ENDED
    if not strategy:
        return "label"
    if strategy == "OnWorkflowCompletion" and ended:
        return "delete"
    if strategy == "OnWorkflowSuccess" and op.status.get("phase") == "Succeeded":
        return "delete"
    if strategy == "OnPodCompletion" or (strategy == "OnPodSuccess" and phase == "Succeeded"):
        return "delete"
    if (strategy == "OnPodSuccess" and phase == "Failed") or ended:
        return "label"
    return ""


def _label(op: Operation, pod: Object) -> None:
    def done(current: Object) -> None:
        current["metadata"].setdefault("labels", {})[node_names.COMPLETED_LABEL] = "true"

    if (pod["metadata"].get("labels") or {}).get(node_names.COMPLETED_LABEL) != "true":
        op.store.modify(PODS, op.namespace, pod["metadata"]["name"], done)


def _delete_later(op: Operation, pod: Object, node: Object, gc: Object) -> None:
    delay = go_text.duration(gc["deleteDelayDuration"]) if gc.get("deleteDelayDuration") else _DELAY
    due = (timestamps.seconds_or_none(node.get("finishedAt")) or op.clock) + delay
    if op.clock < due:
        op.turn.wake_at(due)
        return
    try:
        op.store.delete(PODS, op.namespace, pod["metadata"]["name"])
    except ApiError as error:
        if error.code != 404:
            raise


def claims(op: Operation) -> None:
    """Delete the claims made from `volumeClaimTemplates`, as `volumeClaimGC` says."""
    strategy = (op.spec.get("volumeClaimGC") or {}).get("strategy") or "OnWorkflowSuccess"
    made = op.status.get("persistentVolumeClaims")
    if not made or (strategy == "OnWorkflowSuccess" and op.status.get("phase") != "Succeeded"):
        return
    for volume in made:
        try:
            op.store.delete(CLAIMS, op.namespace, volume["persistentVolumeClaim"]["claimName"])
        except ApiError as error:
            if error.code != 404:
                raise
    del op.status["persistentVolumeClaims"]
    op.changed = True


def results(op: Operation) -> None:
    """Delete what the executors reported; the nodes have it."""

    def mine(result: Object) -> bool:
        return (result["metadata"].get("labels") or {}).get(node_names.WORKFLOW_LABEL) == op.name

    for result in op.store.list(WORKFLOWTASKRESULTS, op.namespace, mine):  # type: ignore[arg-type]
        op.store.delete(WORKFLOWTASKRESULTS, op.namespace, result["metadata"]["name"])


def expired(op: Operation) -> bool:
    """Delete the workflow when its `ttlStrategy` says so; whether that was done."""
    ttl = op.spec.get("ttlStrategy") or {}
    phase = op.status.get("phase")
    seconds = ttl.get("secondsAfterCompletion")
    own = {"Failed": ttl.get("secondsAfterFailure"), "Succeeded": ttl.get("secondsAfterSuccess")}.get(str(phase))
    seconds = own if own is not None else seconds
    if seconds is None:
        return False
    due = (timestamps.seconds_or_none(op.status.get("finishedAt")) or op.clock) + float(seconds)
    if op.clock < due:
        op.turn.wake_at(due)
        return False
    op.store.delete(WORKFLOWS, op.namespace, op.name)
    return True
