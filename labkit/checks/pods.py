"""Answers that are pods: whether one ran, how it ended, what it printed; and, where it did not run, why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labkit import client
from labkit.checks import health
from labkit.checks.verdict import CheckFailed, expect
from labkit.client import containers
from labkit.errors import LabError

Object = dict[str, Any]
LOST = {"NodeLost", "NodeShutdown", "Shutdown", "Terminated", "ContainerStatusUnknown"}
RESTARTS = {"Always": "however it ends", "OnFailure": "when its exit code is not 0"}


def pod(
    name: str,
    *,
    phase: str = "Succeeded",
    exit_code: int | None = None,
    lines: Sequence[str] = (),
    hint: str = "",
    timeout: float = 60,
    runs: float = 10,
) -> Object:
    """Wait until the pod has ended, and compare its phase, its first container's exit code, and lines that its log must
    have. Returns the pod. The diagnosis says how far it came; `hint` is for a line that is missing.

    It may take `timeout` seconds until it runs, and `runs` seconds from then on.
    """
    expect(
        client.get("pod", name),
        f"there is no pod {name!r} in the namespace {client.namespace()!r}",
        "create it first; is its metadata.name right?",
    )
    found = _end(name, timeout, runs)
    status, ended = found["status"], _terminated(found)
    expect(ended, f"pod {name} ended as {status['phase']} without having run: {why_not(found)}", _look(name))
    said = log(found)
    words = f"pod {name} ended as {status['phase']}{_reason(ended)}"
    if (at_fault := containers.failed(found)) and not ended.get("exitCode"):
        other, end = at_fault
        words += f", since its container {other['name']} ended with exit code {end['exitCode']}{_reason(end)}"
    printed = f"it printed {said[-300:]!r}" if said else "it printed nothing"
    if exit_code is not None:
        code = ended.get("exitCode")
        expect(code == exit_code, f"{words} with exit code {code}, expected {exit_code}", printed)
    expect(status["phase"] == phase, f"{words}, expected {phase}", printed)
    for line in lines:
        missing = f"pod {name} did not print the line {line!r}: {printed}"
        expect(line in (each.strip() for each in said.splitlines()), missing, hint or "compare them letter by letter")
    return found


def log(found: Object) -> str:
    """What the pod's first container has printed; '' where it has no log."""
    try:
        name = found["metadata"]["name"]
        return "".join(client.logs(name, container=found["spec"]["containers"][0]["name"]))
    except LabError:
        return ""


def _end(name: str, timeout: float, runs: float) -> Object:
    """The pod when it has ended. CheckFailed where something of its own keeps it from that, LabError where the cluster does."""
    try:
        client.wait("pod", name, lambda p: _settled(p) or _running(p), timeout=timeout, what="its start")
        found = client.wait("pod", name, _settled, timeout=runs, what="its end")
    except LabError:
        health.require()
        found = client.get("pod", name) or {}
        expect(found, f"pod {name} was deleted before it ended", "run this check again, and leave the pod alone")
        _restarted(found)
        if _running(found):
            said = log(found)
            raise CheckFailed(
                f"pod {name} has not ended: it has been running for {runs:g} s",
                f"its program must come to an end by itself; it has printed {said[-300:]!r}",
            ) from None
        raise CheckFailed(f"pod {name} has not run after {timeout:g} s: {why_not(found)}", _look(name)) from None
    _lost(found)
    _restarted(found)
    expect(_has_ended(found), f"pod {name} has not run: {stuck(found)}", _look(name))
    return found


def _lost(found: Object) -> None:
    """LabError for a pod that ended because its machine did."""
    status = found.get("status") or {}
    reasons = {
        status.get("reason"),
        *((s.get("state") or {}).get("terminated", {}).get("reason") for s in containers.statuses(found)),
    }
    if reasons & LOST:
        name, why = found["metadata"]["name"], status.get("message") or "the cluster lost it"
        raise LabError(f"your answer was not judged, because pod {name} died with its machine: {why}", health.HINT)


def _look(name: str) -> str:
    return f"in a terminal, `kubectl describe pod {name}` shows what happened to it"


def _has_ended(found: Object) -> bool:
    return (found.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _settled(found: Object) -> bool:
    """Whether it has ended, or can't go on by itself."""
    return _has_ended(found) or bool(stuck(found))


def _running(found: Object) -> bool:
    return any((status.get("state") or {}).get("running") for status in containers.statuses(found))


def _restarted(found: Object) -> None:
    """CheckFailed for a program that has ended, and was started again."""
    policy = found["spec"].get("restartPolicy", "Always")
    for status in (found.get("status") or {}).get("containerStatuses") or []:
        who = " of ".join(filter(None, [containers.called(found, status), f"pod {found['metadata']['name']}"]))
        ended = (status.get("lastState") or {}).get("terminated") or (status.get("state") or {}).get("terminated")
        if ended and not _has_ended(found) and policy in RESTARTS:
            raise CheckFailed(
                f"{who} ran and ended with exit code {ended.get('exitCode')}{_reason(ended)}, but "
                f"its restartPolicy is {policy}: the program is started again {RESTARTS[policy]}, and the pod never ends",
                "below spec, beside containers: restartPolicy: Never (without that line it is Always)",
            )


def _reason(ended: Object) -> str:
    """What more is known of a container's end than its exit code: OOMKilled, StartError and its message."""
    reason = ended.get("reason")
    if reason in (None, "Completed", "Error"):
        return ""
    return f" ({reason}: {ended['message']})" if ended.get("message") else f" ({reason})"


def _terminated(found: Object) -> Object:
    """How the pod's first container ended. Its status need not be the first: the kubelet lists them by name."""
    first = found["spec"]["containers"][0]["name"]
    listed = {status.get("name"): status for status in found["status"].get("containerStatuses") or []}
    ended: Object = ((listed.get(first) or {}).get("state") or {}).get("terminated") or {}
    return ended


def stuck(found: Object) -> str:
    """Why the pod's containers can't start, or not stay (an image, a missing ConfigMap, a crash); '' when nothing is in
    their way."""
    if blocked := containers.in_the_way(found):
        status, why = blocked
        return ": ".join(filter(None, [containers.called(found, status), why["reason"], why.get("message")]))
    return ""


def why_not(found: Object) -> str:
    """In one line, why a pod does not run: what it waits for, its unmet condition, or its last events."""
    if stuck(found):
        return stuck(found)
    status = found.get("status") or {}
    if status.get("reason"):
        return f"{status['reason']}: {status.get('message', '')}".rstrip(": ")
    if at_fault := containers.failed(found):
        each, ended = at_fault
        return f"its container {each['name']} ended with exit code {ended['exitCode']}{_reason(ended)}"
    for condition in status.get("conditions") or []:
        if condition.get("status") == "False" and condition.get("message"):
            return f"{condition.get('reason')}: {condition['message']}"
    happened = client.events(found.get("metadata", {}).get("name", ""))
    return "; ".join(f"{e['reason']}: {e['message']}" for e in happened[-3:]) or "the cluster gives no reason"
