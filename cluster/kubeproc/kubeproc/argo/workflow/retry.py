"""retryStrategy: whether a failed attempt is followed by another, and when.

Mechanism. A Retry node has one child an attempt, `NAME(0)`, `NAME(1)`, ...; it ends as its last attempt did. `limit: N`
allows N+1 attempts. Without a policy only failures are tried again, not errors; with an `expression` the expression
alone decides.
"""

from __future__ import annotations

import re

from kubeproc import timestamps
from kubeproc.argo.language import expressions, go_text
from kubeproc.argo.workflow.nodes import failed, fulfilled
from kubeproc.argo.workflow.operation import Object, Operation, OperationError

POLICIES = ("Always", "OnError", "OnFailure", "OnTransientError")
_TRANSIENT = re.compile(
    r"exceeded quota|etcdserver: request timed out|connection reset by peer|i/o timeout|TLS handshake timeout"
    r"|too many requests|the object has been modified|connection refused|server is currently unable"
)


def strategy(op: Operation, template: Object) -> Object | None:
    """The template's own retryStrategy, or the workflow's."""
    found = template.get("retryStrategy")
    return found if found is not None else op.spec.get("retryStrategy")


def policy(wanted: Object) -> str:
    return wanted.get("retryPolicy") or ("Always" if wanted.get("expression") else "OnFailure")


def retries_errors(wanted: Object | None) -> bool:
    return wanted is not None and policy(wanted) in ("Always", "OnError", "OnTransientError")


def variables(attempts: list[Object]) -> dict[str, str]:
    """What an attempt can say about the one before it; `retries` is the number of the attempt to come."""
    last = attempts[-1] if attempts else None
    outputs = (last or {}).get("outputs") or {}
    return {
        "retries": str(len(attempts)),
        "lastRetry.exitCode": str(outputs.get("exitCode", "0")),
        "lastRetry.status": last["phase"] if last else "",
        "lastRetry.duration": _lasted(last) if last else "0",
        "lastRetry.message": last.get("message", "") if last else "",
    }


def _lasted(node: Object) -> str:
    end, start = timestamps.seconds_or_none(node.get("finishedAt")), timestamps.seconds_or_none(node.get("startedAt"))
    return go_text.number(end - start) if end is not None and start is not None else "0"


def _expression_variables(attempts: list[Object]) -> dict[str, str]:
    found = variables(attempts) | {"retries": str(len(attempts) - 1)}
    found["lastRetry.exitCode"] = str((attempts[-1].get("outputs") or {}).get("exitCode", "-1"))
    return found


def assess(op: Operation, node: Object, wanted: Object) -> tuple[bool, float | None]:
    """Bring the Retry node up to its attempts. Whether to go on with (or begin) an attempt now, and until when an
    attempt may run. OperationError where the strategy is not valid."""
    attempts = op.tree.attempts(node)
    if fulfilled(node) or not attempts or not fulfilled(attempts[-1]):
        return True, None
    last = attempts[-1]
    name = node["name"]
    if not failed(last):
        op.tree.set(node, "outputs", last.get("outputs"))
        op.tree.mark(name, "Succeeded")
        return True, None
    if op.shutdown or op.past_deadline:
        when = timestamps.stamp(op.deadline or 0).replace("T", " ").replace("Z", " +0000 UTC")
        why = f"Stopped with strategy '{op.shutdown}'" if op.shutdown else f"retry exceeded workflow deadline {when}"
        op.tree.mark(name, last["phase"], why)
        return True, None
    until: float | None = None
    if wanted.get("backoff"):
        go_on, until = _back_off(op, node, attempts, wanted)
        if not go_on or fulfilled(node):
            return go_on, until
    _decide(op, node, attempts, wanted)
    return True, until


def _seconds(value: object) -> float:
    try:
        return go_text.duration(str(value))
    except ValueError as error:
        raise OperationError(str(error)) from None


def _whole(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise OperationError(f"value '{value}' cannot be resolved to an int") from None


def _back_off(op: Operation, node: Object, attempts: list[Object], wanted: Object) -> tuple[bool, float | None]:
    backoff, last, name = wanted["backoff"], attempts[-1], node["name"]
    until: float | None = None
    if backoff.get("maxDuration"):
        until = (timestamps.seconds_or_none(attempts[0].get("startedAt")) or op.clock) + _seconds(
            backoff["maxDuration"]
        )
        if op.clock > until:
            op.tree.mark(name, last["phase"], "Max duration limit exceeded")
            return True, until
    if not backoff.get("duration"):
        raise OperationError("no base duration specified for retryStrategy")
    wait = _seconds(backoff["duration"])
    factor = _whole(backoff["factor"]) if backoff.get("factor") not in (None, "") else 0
    if factor > 0:
        wait = min(wait * float(factor) ** min(len(attempts) - 1, 64), 1e9)
    if backoff.get("cap"):
        wait = min(wait, _seconds(backoff["cap"]))
    ready = (timestamps.seconds_or_none(last.get("finishedAt")) or op.clock) + wait
    if until is not None and ready > until:
        op.tree.mark(name, last["phase"], "Backoff would exceed max duration limit")
        return True, until
    limit = wanted.get("limit")
    if op.clock < ready and limit is not None and len(attempts) <= _whole(limit):
        op.turn.wake_at(ready)
        op.tree.mark(name, node["phase"], f"Backoff for {humanize(wait)}")
        return False, until
    op.tree.mark(name, node["phase"], "")
    return True, until


def humanize(seconds: float) -> str:
    """A duration in words, in up to two units: `10 seconds`, `1 minute 10 seconds`."""
    whole = int(seconds)
    if whole < 60:
        return _unit(whole, "second")
    if whole < 3600:
        return f"{_unit(whole // 60, 'minute')} {whole % 60} seconds"
    if whole < 86400:
        return f"{_unit(whole // 3600, 'hour')} {whole // 60 % 60} minutes"
    return f"{_unit(whole // 86400, 'day')} {whole // 3600 % 24} hours"


def _unit(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def _decide(op: Operation, node: Object, attempts: list[Object], wanted: Object) -> None:
    """End the Retry node where no further attempt is due."""
    last, name, chosen = attempts[-1], node["name"], policy(wanted)
    if chosen not in POLICIES:
        raise OperationError(f"{chosen} is not a valid RetryPolicy")
    transient = chosen == "OnTransientError" and bool(_TRANSIENT.search(last.get("message", "")))
    on_failure = chosen in ("Always", "OnFailure") or transient
    on_error = chosen in ("Always", "OnError") or transient
    if not (on_failure if last["phase"] == "Failed" else on_error):
        op.tree.mark(name, last["phase"], last.get("message", ""))
        return
    limit = wanted.get("limit")
    if limit is not None and len(attempts) > _whole(limit):
        op.tree.mark(name, last["phase"], "No more retries left")
        return
    if wanted.get("expression"):
        names = expressions.environment(_expression_variables(attempts))
        try:
            again = expressions.evaluate_bool(wanted["expression"], names)
        except (expressions.ExpressionError, expressions.NotSupported) as error:
            raise OperationError(str(error)) from None
        if not again:
            op.tree.mark(name, last["phase"], "retryStrategy.expression evaluated to false")
