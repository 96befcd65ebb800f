"""What a Pod object says of the pod's life: its phases and when they began, its restarts, why it waits or has failed."""

from __future__ import annotations

from typing import Any

from labkit.client import containers
from labkit.plotting import Pod
from labkit.plotting.labels import moment
from labkit.plotting.timeline import ENDED

Object = dict[str, Any]
FRESH = (
    2.5  # seconds: what an object dates at most so long ago was seen as it happened, and is known to the millisecond
)


def observe(pod: Pod, found: Object, now: float, deleted: bool = False) -> bool:
    """Enter into `pod` what the object says at the time `now`; returns whether anything is new."""
    before = (len(pod.changes), len(pod.restarts), pod.why)
    meta, phase = found["metadata"], phase_of(found, deleted)
    _enter(pod, "Pending", moment(meta["creationTimestamp"]), now)
    begun = [t for state in _states(found) if (t := _time(state, "startedAt"))]
    wanted = len(found["spec"]["containers"])
    if phase != "Pending" and len(begun) == wanted:  # it runs when all of them do
        _enter(pod, "Running", max(begun), now)
    elif phase == "Running":
        _enter(pod, "Running", None, now)
    if phase in ENDED:
        _enter(pod, phase, _over(found) if phase != "Removed" else _removed(meta), now)
    pod.why = why(found) if pod.phase != "Removed" else ""  # how it ended then says nothing of its work
    again = sum(status.get("restartCount", 0) for status in containers.statuses(found))
    for _ in range(again - len(pod.restarts)):
        pod.restarts.append(
            now if not begun or now - max(t or 0 for t in begun) < FRESH else max(t or 0 for t in begun)
        )
    return before != (len(pod.changes), len(pod.restarts), pod.why)


def phase_of(found: Object, deleted: bool = False) -> str:
    """The pod's phase. How a deleted pod ends says nothing about its work: it is Removed, unless it had ended before."""
    phase = str((found.get("status") or {}).get("phase") or "Pending")
    if (deleted or found["metadata"].get("deletionTimestamp")) and phase not in ("Succeeded", "Failed"):
        return "Removed"
    return phase if phase in ("Running", "Succeeded", "Failed") else "Pending"


def why(found: Object) -> str:
    """Why the pod waits or has failed, in one line; '' where nothing stands in its way."""
    status = found.get("status") or {}
    if status.get("phase") == "Failed":
        return _failure(found)
    if status.get("phase") == "Succeeded":
        return ""
    if blocked := containers.in_the_way(found):
        each, waiting = blocked
        return _line(containers.called(found, each), _line(waiting.get("reason"), waiting.get("message")))
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _line(condition.get("reason"), condition.get("message"))
    return ""


def _failure(found: Object) -> str:
    status = found.get("status") or {}
    if at_fault := containers.failed(found):
        each, ended = at_fault
        reason = ended.get("reason") if ended.get("reason") not in (None, "Error") else ""
        code = f"exit code {ended['exitCode']}"
        said = _line(f"{reason} ({code})" if reason else code, ended.get("message") or status.get("message"))
        return _line(containers.called(found, each), said)
    return _line(status.get("reason"), status.get("message"))


def _line(reason: str | None, message: str | None) -> str:
    """One line of both, without what the message says again."""
    text = " ".join(str(message or "").split())
    return ": ".join(filter(None, [str(reason or ""), text]))


def _states(found: Object) -> list[Object]:
    """The states of the pod's own containers, without those that prepare it."""
    every = (found.get("status") or {}).get("containerStatuses") or []
    return [state for status in every for state in (status.get("state") or {}).values() if state]


def _time(state: Object, key: str) -> float | None:
    return moment(state[key]) if state.get(key) else None


def _over(found: Object) -> float | None:
    """When the pod ended: when its last container did, or, if its kubelet was away then, when it stopped being ready."""
    if over := [t for state in _states(found) if (t := _time(state, "finishedAt"))]:
        return max(over)
    conditions = (found.get("status") or {}).get("conditions") or []
    unready = (c for c in conditions if c.get("type") == "Ready" and c.get("status") == "False")
    return next((_time(condition, "lastTransitionTime") for condition in unready), None)


def _removed(meta: Object) -> float | None:
    """When the deletion began; the deletionTimestamp is the end of its grace period."""
    if not meta.get("deletionTimestamp"):
        return None
    return moment(meta["deletionTimestamp"]) - float(meta.get("deletionGracePeriodSeconds") or 0)


def _enter(pod: Pod, phase: str, at: float | None, now: float) -> None:
    """Add a phase that began at `at` as the object says it in whole seconds, unless the pod is past it."""
    if pod.phase in ENDED or any(p == phase for _, p in pod.changes):
        return
    exact = now if at is None or abs(now - at) < FRESH else at
    pod.changes.append((max(exact, pod.changes[-1][0] if pod.changes else exact), phase))
