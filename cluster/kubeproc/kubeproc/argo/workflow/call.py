"""One use of a template, and what can be said of it before it runs.

Mechanism. A step, a task, a hook or the entrypoint calls a template under the name of a node. A call is settled when its node
has ended or when its pod exists: the pod's own events bring the workflow back then.
"""

from __future__ import annotations

from dataclasses import dataclass

from kubeproc import timestamps
from kubeproc.argo.language import go_text
from kubeproc.argo.templates.spec import Source
from kubeproc.argo.workflow.nodes import Object, fulfilled
from kubeproc.argo.workflow.operation import Operation, OperationError


@dataclass(frozen=True)
class Call:
    """One use of a template: by whom (`holder`, in the `source` it was written in), under which node."""

    name: str
    holder: Object
    source: Source
    boundary: str
    flag: Object | None
    on_exit: bool
    until: float | None = None  # when an attempt has to have ended


def settled(op: Operation, node: Object) -> bool:
    """Whether a node needs nothing done for it now: it has ended, or its pod is on its way."""
    return fulfilled(node) or _pod_is_on_its_way(op, node)


def _pod_is_on_its_way(op: Operation, node: Object) -> bool:
    if node["type"] == "Retry":
        attempts = op.tree.attempts(node)
        return bool(attempts) and _pod_is_on_its_way(op, attempts[-1])
    return node["type"] == "Pod" and node["phase"] in ("Running", "Pending") and node["id"] in op.pods


def timeout(template: Object, node: Object) -> float | None:
    """When the template's `timeout` passes; OperationError where it is no duration."""
    if not template.get("timeout"):
        return None
    try:
        return (timestamps.seconds_or_none(node.get("startedAt")) or 0) + go_text.duration(template["timeout"])
    except ValueError as error:
        raise OperationError(f"invalid timeout format. {error}") from None
