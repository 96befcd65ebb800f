"""What a step of a group and a task of a DAG have in common: references that are filled in, and an end that may be let pass.

Mechanism. The tags of the step are substituted first. When its `when` then says that it runs, each artifact that it takes
`from` elsewhere is replaced by that artifact; a step that is skipped may name one that was never made.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubeproc.argo.language import templating, when
from kubeproc.argo.workflow import loops
from kubeproc.argo.workflow import scope as scopes
from kubeproc.argo.workflow.nodes import Object
from kubeproc.argo.workflow.scope import Scope


def resolved(step: Object, variables: Mapping[str, str], scope: Scope) -> Object:
    """The step with its references substituted and its artifacts found. TemplateError, ConditionError, and OperationError
    where an artifact is not there."""
    found: Object = templating.replace(step, variables, unresolved=True)
    if _proceeds(found) and (found.get("arguments") or {}).get("artifacts"):
        return found | {"arguments": scopes.resolve_artifacts(scope, found["arguments"])}
    return found


def _proceeds(step: Object) -> bool:
    """Whether the step runs, as far as that can be said before its loop has items."""
    try:
        return when.holds(step.get("when") or "")
    except when.ConditionError:
        if not loops.expands(step):
            raise
        return True


def continues_on(step: Object, phase: str) -> bool:
    """Whether the step's `continueOn` lets this end of it pass."""
    wanted = step.get("continueOn") or {}
    return bool(wanted.get({"Error": "error", "Failed": "failed"}.get(phase, "")))
