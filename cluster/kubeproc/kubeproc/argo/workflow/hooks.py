"""Hooks: templates run beside a step, a task or the workflow when an expression holds, and `exit` ones when it ends.

Mechanism. A hook runs as the node `PARENT.hooks.NAME`, an exit hook as `PARENT.onExit`. Its expression is evaluated in every
pass until it holds; from then on the node is there and is brought forward like any other. What the hook belongs to is not
done before its hooks are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from kubeproc.argo.language import expressions, templating
from kubeproc.argo.templates.spec import Source
from kubeproc.argo.workflow import scope as scopes
from kubeproc.argo.workflow.call import settled
from kubeproc.argo.workflow.nodes import fulfilled
from kubeproc.argo.workflow.operation import Object, Operation, OperationError
from kubeproc.argo.workflow.scope import Scope
from kubeproc.argo.workflow.turn import ParallelismReached

EXIT = "exit"


def exit_hook(step: Object, workflow_arguments: Object | None) -> Object | None:
    """The hook that runs after a step or task: `hooks.exit`, or the older `onExit`."""
    hook = (step.get("hooks") or {}).get(EXIT)
    if hook:
        return hook
    return {"template": step["onExit"], "arguments": workflow_arguments} if step.get("onExit") else None


def has_hooks(step: Object) -> bool:
    return bool(step.get("hooks") or step.get("onExit"))


def _holds(op: Operation, expression: str, values: Mapping[str, str]) -> bool:
    try:
        return expressions.evaluate_bool(expression, expressions.environment({**op.variables, **values}))
    except (expressions.ExpressionError, expressions.NotSupported) as error:
        raise OperationError(str(error)) from None


def run(
    op: Operation, scope: Scope, hooks: Object | None, parent: Object, boundary: str, source: Source, prefix: str
) -> bool:
    """Run the hooks of a node whose expression holds; whether all that were begun have ended."""
    ended = True
    for name, hook in (hooks or {}).items():
        if name == EXIT:
            continue
        node_name = f"{parent['name']}.hooks.{name}"
        if not hook.get("expression"):
            raise OperationError(f"Expression required for hook {node_name}")
        if op.tree.node(node_name) is None and not _holds(op, hook["expression"], scope.parameters()):
            continue
        node = _execute(op, node_name, hook, parent, boundary, source, prefix, scope, on_exit=False)
        ended = ended and node is not None and fulfilled(node)
    return ended


def run_exit(
    op: Operation, hook: Object | None, parent: Object, boundary: str, source: Source, prefix: str, scope: Scope
) -> bool:
    """Run the exit hook of a node that has completed; whether there is nothing left to wait for."""
    if hook is None or not op.may_execute(True):
        return True
    node_name = f"{parent['name']}.onExit"
    if (
        hook.get("expression")
        and op.tree.node(node_name) is None
        and not _holds(op, hook["expression"], scope.parameters())
    ):
        return True
    node = _execute(op, node_name, hook, parent, boundary, source, prefix, scope, on_exit=True)
    return node is not None and fulfilled(node)


def _execute(
    op: Operation,
    name: str,
    hook: Object,
    parent: Object,
    boundary: str,
    source: Source,
    prefix: str,
    scope: Scope,
    *,
    on_exit: bool,
) -> Object | None:
    node = op.tree.node(name)
    if node is not None and settled(op, node):
        return node
    outputs = scopes.last_attempt(op, parent).get("outputs") or {}
    given = hook.get("arguments")
    if given:
        scopes.add_outputs(scope, prefix, outputs)
        for parameter in outputs.get("parameters") or ():
            scope.values.setdefault(f"{prefix}.outputs.parameters.{parameter['name']}", "")
    if given:
        try:
            given = templating.replace(given, {**op.variables, **scope.parameters()}, unresolved=True)
        except templating.TemplateError as error:
            raise OperationError(str(error)) from None
        given = scopes.resolve_artifacts(scope, given)
    holder = {k: hook[k] for k in ("template", "templateRef") if hook.get(k)}
    flag = {"hooked": True}
    with contextlib.suppress(ParallelismReached):
        op.execute(op, name, holder, source, given, boundary, flag=flag, on_exit=on_exit)
    if op.tree.node(name) is not None:
        op.tree.adopt(parent["name"], name)
    return op.tree.node(name)


def run_for_workflow(op: Operation, source: Source) -> bool:
    """Run the workflow's own hooks; whether all that were begun have ended."""
    ended = True
    for name, hook in (op.spec.get("hooks") or {}).items():
        if name == EXIT:
            continue
        node_name = f"{op.name}.hooks.{name}"
        if not hook.get("expression"):
            raise OperationError(f"Expression required for hook {node_name}")
        if op.tree.node(node_name) is None and not _holds(op, hook["expression"], {}):
            continue
        holder = {k: hook[k] for k in ("template", "templateRef") if hook.get(k)}
        with contextlib.suppress(ParallelismReached):
            op.execute(op, node_name, holder, source, hook.get("arguments"), "", flag={"hooked": True})
        node = op.tree.node(node_name)
        if node is not None:
            op.tree.adopt(op.name, node_name)
        ended = ended and node is not None and fulfilled(node)
    return ended


def workflow_exit(op: Operation) -> Object | None:
    """The hook that ends the workflow: `hooks.exit`, or `onExit`."""
    hook = (op.spec.get("hooks") or {}).get(EXIT)
    if hook:
        return hook
    return {"template": op.spec["onExit"], "arguments": op.spec.get("arguments")} if op.spec.get("onExit") else None
