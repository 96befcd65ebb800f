"""Running a template under a node's name: the one recursive step that steps, tasks, hooks and the entrypoint share.

Mechanism. Resolve the template, fill in its inputs, see whether it may start now (timeouts, parallelism, locks, a
memoized result), wrap it in attempts where it is retried, then do what its kind asks: make a pod, go through steps or
tasks, or suspend. A node that has ended, or whose pod runs, is answered at once. What cannot be done becomes the
node's error and, as OperationError, the caller's.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from kubeproc.argo.language import templating
from kubeproc.argo.templates import arguments, spec
from kubeproc.argo.templates.spec import Source
from kubeproc.argo.workflow import dag, locks, memoize, node_pods, parallelism, retry, steps, suspend
from kubeproc.argo.workflow.call import Call, settled, timeout
from kubeproc.argo.workflow.nodes import fulfilled
from kubeproc.argo.workflow.operation import DepthExceeded, Object, Operation, OperationError, TimedOut
from kubeproc.argo.workflow.turn import ParallelismReached

DEEPEST = 100
_TOO_DEEP = (
    "Maximum recursion depth exceeded. See https://argo-workflows.readthedocs.io/en/release-3.7/scaling/"
    "#maximum-recursion-depth"
)
_DISPLAY_NAME = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9-.]{0,61}[a-zA-Z0-9]$")
NODE_TYPES = {"steps": "Steps", "dag": "DAG", "suspend": "Suspend"}


def template(
    op: Operation,
    name: str,
    holder: Object,
    source: Source,
    given: Object | None,
    boundary: str = "",
    *,
    flag: Object | None = None,
    on_exit: bool = False,
) -> Object | None:
    """Bring the node called `name` forward and return it; None where nothing could start yet. Raises OperationError
    for what went wrong (the node tells it as well) and ParallelismReached for what has to wait."""
    node = op.tree.node(name)
    if node is not None and settled(op, node):
        return node
    if node is None and op.turn.spent:
        raise ParallelismReached
    call = Call(name, holder, source, boundary, flag, on_exit)
    op.depth += 1
    try:
        return _run(op, call, node, given)
    finally:
        op.depth -= 1


def _fail(op: Operation, call: Call, error: Exception) -> OperationError:
    op.tree.fail_to_start(call.name, call.holder, call.source.label, call.boundary, call.flag, str(error))
    return error if isinstance(error, OperationError) else OperationError(str(error))


def _run(op: Operation, call: Call, node: Object | None, given: Object | None) -> Object | None:
    if op.depth >= DEEPEST:
        raise _fail(op, call, DepthExceeded(_TOO_DEEP))
    try:
        home, resolved = op.templates.resolve(call.holder, call.source)
        if not spec.kind_of(resolved):
            raise spec.SpecError(f"template '{resolved.get('name', '')}' type is unknown")
        strategy = retry.strategy(op, resolved)
        known = _local_variables(op, call, resolved, strategy)
        processed = arguments.process(resolved, arguments.Arguments(given), op.variables, known, op.namespace, op.store)
    except (spec.SpecError, arguments.ArgumentError, templating.TemplateError) as error:
        raise _fail(op, call, error) from None
    if node is not None:
        _show(op, call, node, processed)
        _check_timeout(op, call, node, processed)
    parallelism.check(op, processed, node, call.boundary)
    if processed.get("synchronization"):
        node = locks.enter(op, call, node, processed)
        if node is not None and locks.waits(node):
            return node
    if processed.get("memoize") and (node is None or (node["phase"] == "Pending" and "memoizationStatus" not in node)):
        node = _recall(op, call, node, processed)
        if fulfilled(node):
            return node
    strategy = retry.strategy(op, processed)
    if strategy is not None:
        return _attempts(op, call, node, processed, home, strategy)
    return _start(op, call, processed, home)


def _local_variables(op: Operation, call: Call, resolved: Object, strategy: Object | None) -> dict[str, str]:
    known = {"node.name": call.name}
    if spec.is_pod(resolved) and strategy is None:
        known["pod.name"] = op.pod_name(call.name, resolved.get("name", ""))
    kind = call.holder.get("_kind")
    if kind and call.holder.get("name"):
        known[f"{kind}.name"] = call.holder["name"]
    return known


def _show(op: Operation, call: Call, node: Object, processed: Object) -> None:
    wanted = (processed.get("annotations") or {}).get("workflows.argoproj.io/display-name")
    if wanted:
        if not _DISPLAY_NAME.match(wanted):
            raise _fail(op, call, OperationError(f"displayName must match the regex {_DISPLAY_NAME.pattern}"))
        op.tree.set(node, "displayName", wanted)


def _check_timeout(op: Operation, call: Call, node: Object, processed: Object) -> None:
    deadline = timeout(processed, node)
    if deadline is None or node["phase"] != "Pending":
        return
    if op.clock > deadline:
        op.tree.mark(call.name, "Failed", "timeout")
        raise TimedOut("timeout")
    op.turn.wake_at(deadline)


def _recall(op: Operation, call: Call, node: Object | None, processed: Object) -> Object:
    """Look for a memoized result; the node, which has ended where there is one."""
    try:
        hit, outputs = memoize.load(op, processed)
    except OperationError as error:
        raise _fail(op, call, error) from None
    if node is None:
        kind = NODE_TYPES.get(spec.kind_of(processed), "Pod")
        if not hit and retry.strategy(op, processed) is not None:
            kind = "Retry"
        phase = "Succeeded" if hit else "Pending"
        node = op.tree.start(
            call.name,
            kind,
            call.holder,
            call.source.label,
            call.boundary,
            phase,
            flag=call.flag,
            template=processed,
        )
    op.tree.set(node, "memoizationStatus", memoize.status(processed, hit))
    if hit:
        op.tree.set(node, "outputs", outputs)
        op.tree.mark(call.name, "Succeeded")
    elif node["type"] in ("Retry", "Steps", "DAG"):
        op.tree.mark(call.name, "Running")
    return node


def _attempts(
    op: Operation, call: Call, node: Object | None, processed: Object, home: Source, strategy: Object
) -> Object:
    """Run a template with a retryStrategy: one child node an attempt."""
    node = node or op.tree.start(
        call.name, "Retry", call.holder, call.source.label, call.boundary, flag=call.flag, template=processed
    )
    flag = {**(call.flag or {}), "retried": True}
    while True:
        try:
            go_on, until = retry.assess(op, node, strategy)
        except OperationError as error:
            op.tree.mark(call.name, "Error", str(error))
            raise
        attempts = op.tree.attempts(node)
        if fulfilled(node):
            op.tree.set(node, "outputs", attempts[-1].get("outputs") if attempts else None)
            if node["phase"] == "Succeeded":
                _remember(op, node)
            locks.leave(op, node)
            return node
        if not go_on:
            return node
        earlier = attempts[:-1] if attempts and not fulfilled(attempts[-1]) else attempts
        name = f"{call.name}({len(earlier)})"
        known = retry.variables(earlier) | {"node.name": name}
        if spec.is_pod(processed):
            known["pod.name"] = op.pod_name(name, processed.get("name", ""))
        attempt = replace(call, name=name, flag=flag, until=until)
        try:
            child = _start(op, attempt, arguments.substitute(processed, op.variables, known), home)
        except templating.TemplateError as error:
            raise _fail(op, attempt, error) from None
        except OperationError:
            if not retry.retries_errors(strategy):
                op.tree.adopt(call.name, name)
                raise
            child = op.tree.nodes[op.tree.id(name)]
        op.tree.adopt(call.name, name)
        if not fulfilled(child):
            return node


def _remember(op: Operation, node: Object) -> None:
    try:
        memoize.save(op, node)
    except OperationError as error:
        op.tree.mark(node["name"], "Error", str(error))


def _start(op: Operation, call: Call, processed: Object, home: Source) -> Object:
    """Do what the template's kind asks for."""
    node = op.tree.node(call.name)
    kind = spec.kind_of(processed)
    try:
        if kind in ("steps", "dag"):
            if node is None:
                node = op.tree.start(call.name, NODE_TYPES[kind], call.holder, call.source.label, call.boundary,
                                flag=call.flag, template=processed)  # fmt: skip
            elif node["phase"] == "Pending":  # its lock was not free before
                op.tree.mark(call.name, "Running", "")
            op.running[node["id"]] = (processed, home)
            module: Any = steps if kind == "steps" else dag
            module.run(op, call.name, processed, home, call.on_exit)
            if node["phase"] == "Succeeded":
                _remember(op, node)
        elif kind == "suspend":
            suspend.run(op, call, processed)
        elif kind in node_pods.KINDS:
            node_pods.run(op, call, processed)
        else:
            raise OperationError(f"Template '{processed.get('name', '')}' missing specification")
    except OperationError as error:
        if op.tree.node(call.name) is None:
            raise _fail(op, call, error) from None
        op.tree.mark(call.name, "Error", str(error))
        locks.leave(op, op.tree.nodes[op.tree.id(call.name)])
        raise
    node = op.tree.nodes[op.tree.id(call.name)]
    if fulfilled(node):
        locks.leave(op, node)
    return node
