"""Jobs: pods until enough have succeeded or too many have failed, as pkg/controller/job of Kubernetes 1.34.

Order of a reconcile: count the ended pods; decide whether the Job is done (a target condition first, the final one when
the last pod is gone); adjust the number of active pods; write the status.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

from kubeproc import timestamps
from kubeproc.api_errors import ApiError
from kubeproc.controllers import events
from kubeproc.controllers import pod_making as podlib
from kubeproc.controllers.job import indexes
from kubeproc.controllers.job.job_pods import (
    COMPONENT,
    create,
    delay,
    failed,
    remove,
    replaces_failed_only,
    tracked,
    untrack,
)
from kubeproc.controllers.loop import Controller, soonest
from kubeproc.controllers.owners import claim, controlled, deleting
from kubeproc.controllers.pod_making import finished, phase, ready
from kubeproc.resources import JOBS, PODS
from kubeproc.store import Object, Store

COMPLETE, FAILED, SUSPENDED = "Complete", "Failed", "Suspended"
SUCCESS_TARGET, FAILURE_TARGET = "SuccessCriteriaMet", "FailureTarget"
REACHED = ("CompletionsReached", "Reached expected number of succeeded pods")
TOO_OFTEN = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
BURST = 500  # pods created or removed per reconcile
TOO_LONG = ("DeadlineExceeded", "Job was active longer than specified deadline")


@dataclass
class Work:
    """The view of a Job in one reconcile: its spec, the status to write, its pods."""

    job: Object
    store: Store
    pods: list[Object]
    status: Object = field(default_factory=dict)

    def look(self) -> None:
        """Read the current pods. They are the store's own objects and must not be changed."""
        self.pods = controlled(self.job, PODS, self.store, shared=True)

    @property
    def spec(self) -> Object:
        return self.job["spec"]

    @property
    def indexed(self) -> bool:
        return self.spec["completionMode"] == "Indexed"

    @property
    def completed(self) -> set[int]:
        """The succeeded indexes within the Job's current completions, which may have been lowered."""
        done = indexes.parse(self.status.get("completedIndexes", ""))
        return {i for i in done if i < (self.spec.get("completions") or 0)}

    @property
    def active(self) -> list[Object]:
        return [p for p in self.pods if podlib.active(p)]

    @property
    def going(self) -> list[Object]:
        return [p for p in self.pods if deleting(p) and not finished(p)]

    def holds(self, type: str) -> bool:
        return any(c["type"] == type and c["status"] == "True" for c in self.status.get("conditions") or ())

    def event(self, type: str, reason: str, message: str) -> None:
        events.record(self.store, self.job, type, reason, message, component=COMPONENT)


def reconcile(job: Object, store: Store) -> float | None:
    work = Work(
        job,
        store,
        claim(job, PODS, job["spec"]["selector"], store, shared=True),
        copy.deepcopy(job.get("status") or {}),
    )
    if deleting(job) or work.holds(COMPLETE) or work.holds(FAILED):
        for pod in work.pods:
            untrack(pod, store)
        return None if deleting(job) else _expire(work)
    if not work.spec.get("suspend"):
        work.status.setdefault("startTime", timestamps.now())
    _count(work)
    wait = None
    try:
        wait = _decide(work)
    finally:
        _write(work)
    return wait


def _count(work: Work) -> None:
    """Add the ended pods to the counters, each once."""
    status = work.status
    uncounted = status.get("uncountedTerminatedPods") or {}
    lists = {k: list(uncounted.get(k) or ()) for k in ("succeeded", "failed")}
    known = {*lists["succeeded"], *lists["failed"]}
    done = work.completed
    ended = [p for p in work.pods if tracked(p) and (phase(p) == "Succeeded" or failed(p, work.job))]
    for pod in ended:
        if pod["metadata"]["uid"] in known or (work.indexed and not indexes.in_range(pod, work.spec["completions"])):
            continue
        if failed(pod, work.job):
            lists["failed"].append(pod["metadata"]["uid"])
        elif work.indexed:
            done.add(indexes.of_pod(pod) or 0)
        else:
            lists["succeeded"].append(pod["metadata"]["uid"])
    if work.indexed and (done or "completedIndexes" in status):
        status["completedIndexes"] = indexes.write(done)
    if ended:
        status["uncountedTerminatedPods"] = {k: v for k, v in lists.items() if v}
        _write(work)
        for pod in ended:
            untrack(pod, work.store)
    for kind, uids in lists.items():
        if uids:
            status[kind] = status.get(kind, 0) + len(uids)
    if work.indexed:
        status["succeeded"] = len(done)
    status["uncountedTerminatedPods"] = {}


def _decide(work: Work) -> float | None:
    """Finish the Job, suspend it, or adjust the number of its active pods."""
    wait = None
    if not work.holds(FAILURE_TARGET) and not work.holds(SUCCESS_TARGET):
        if why := _failure(work):
            _condition(work, FAILURE_TARGET, True, *why)
        else:
            wait = _adjust(work)
            work.look()
            if _enough(work):
                _condition(work, SUCCESS_TARGET, True, *REACHED)
    if work.holds(FAILURE_TARGET) or work.holds(SUCCESS_TARGET):
        return _finish(work)
    if work.spec.get("suspend"):
        _say_suspended(work)
        return None
    _resume(work)
    return soonest(wait, _until_deadline(work))


def _failure(work: Work) -> tuple[str, str] | None:
    limit, pods = work.spec["backoffLimit"], work.active
    if work.status.get("failed", 0) > limit:
        return TOO_OFTEN
    if work.spec["template"]["spec"]["restartPolicy"] == "OnFailure":
        found = [c for p in pods for k in ("initContainerStatuses", "containerStatuses")
                 for c in (p.get("status") or {}).get(k) or ()]  # fmt: skip
        restarts = sum(c.get("restartCount", 0) for c in found)
        if (restarts > 0) if limit == 0 else (restarts >= limit):
            return TOO_OFTEN
    left = _until_deadline(work)
    return TOO_LONG if left is not None and left <= 0 else None


def _until_deadline(work: Work) -> float | None:
    deadline, start = work.spec.get("activeDeadlineSeconds"), work.status.get("startTime")
    if deadline is None or start is None or work.spec.get("suspend"):
        return None
    return deadline - timestamps.age(start)


def _enough(work: Work) -> bool:
    succeeded, completions = work.status.get("succeeded", 0), work.spec.get("completions")
    if completions is None:  # a work queue: one success means that no work is left
        return succeeded > 0 and not work.active
    return succeeded >= completions and not work.active


def _finish(work: Work) -> float | None:
    """Delete the pods that still run; when none is left, write the final condition."""
    for pod in work.active:
        podlib.delete(work.store, work.job, pod, COMPONENT)
    work.look()
    if work.active or work.going:
        return None
    target = SUCCESS_TARGET if work.holds(SUCCESS_TARGET) else FAILURE_TARGET
    reason, message = next((c["reason"], c["message"]) for c in work.status["conditions"] if c["type"] == target)
    work.status.setdefault("startTime", timestamps.now())
    if target == SUCCESS_TARGET:
        _condition(work, COMPLETE, True, reason, message)
        work.status["completionTime"] = timestamps.now()
        work.event(events.NORMAL, "Completed", "Job completed")
    else:
        _condition(work, FAILED, True, reason, message)
        work.event(events.WARNING, reason, message)
    return None


def _say_suspended(work: Work) -> None:
    work.status.pop("startTime", None)
    if _condition(work, SUSPENDED, True, "JobSuspended", "Job suspended"):
        work.event(events.NORMAL, "Suspended", "Job suspended")


def _resume(work: Work) -> None:
    if work.holds(SUSPENDED) and _condition(work, SUSPENDED, False, "JobResumed", "Job resumed"):
        work.status["startTime"] = timestamps.now()
        work.event(events.NORMAL, "Resumed", "Job resumed")


def _adjust(work: Work) -> float | None:
    """Create or remove pods; returns the seconds until the next may be created. A suspended Job has none."""
    active, completions = work.active, work.spec.get("completions")
    succeeded, wanted = work.status.get("succeeded", 0), work.spec["parallelism"]
    if completions is not None:
        wanted = max(0, min(completions - succeeded, wanted))
    elif succeeded:
        wanted = len(active)
    if work.spec.get("suspend"):
        wanted = 0
    if unwanted := _unwanted(work, len(active) - wanted):
        for pod in unwanted:
            remove(pod, work.job, work.store)
        return None
    going = work.going if replaces_failed_only(work.job) else []
    room = min(wanted - len(active) - len(going), BURST)
    if room <= 0:
        return None
    if (wait := delay(work.job, work.pods, work.status.get("failed", 0))) > 0:
        return wait
    if work.indexed:
        for index in indexes.missing(completions or 0, work.completed, [*active, *going], room):
            create(work.job, index, work.store)
    else:
        for _ in range(room):
            create(work.job, None, work.store)
    return None


def _unwanted(work: Work, surplus: int) -> list[Object]:
    """The active pods to remove: at least `surplus`, and for an Indexed Job all pods without an index of their own."""
    found: list[Object] = []
    rest = work.active
    if work.indexed:
        found, rest = indexes.surplus(rest, work.spec["completions"])
    further = max(0, surplus - len(found))
    return [*found, *sorted(rest, key=podlib.removal_order)[:further]][:BURST]


def _condition(work: Work, type: str, value: bool, reason: str, message: str) -> bool:
    text, entries = "True" if value else "False", work.status.setdefault("conditions", [])
    old = next((c for c in entries if c["type"] == type), None)
    if old is not None and old["status"] == text:
        return False
    moment = timestamps.now()
    new = {"type": type, "status": text, "lastProbeTime": moment, "lastTransitionTime": moment,
           "reason": reason, "message": message}  # fmt: skip
    if old is None:
        entries.append(new)
    else:
        entries[entries.index(old)] = new
    return True


def _write(work: Work) -> None:
    status = work.status
    work.look()
    numbers = {"active": len(work.active), "ready": sum(ready(p) for p in work.active), "terminating": len(work.going)}
    for name, number in numbers.items():
        status[name] = number
    for name in ("active", "succeeded", "failed"):
        if not status.get(name):
            status.pop(name, None)
    if not status.get("conditions"):
        status.pop("conditions", None)
    if status != (work.job.get("status") or {}):
        fresh = work.store.get(JOBS, work.job["metadata"]["namespace"], work.job["metadata"]["name"])
        work.job = work.store.update_status(JOBS, fresh | {"status": copy.deepcopy(status)})


def _expire(work: Work) -> float | None:
    """Delete a finished Job and its pods when ttlSecondsAfterFinished has passed."""
    ttl, meta = work.spec.get("ttlSecondsAfterFinished"), work.job["metadata"]
    if ttl is None:
        return None
    end = next(c["lastTransitionTime"] for c in work.status["conditions"] if c["type"] in (COMPLETE, FAILED))
    left = ttl - timestamps.age(end)
    if left > 0:
        return left
    try:
        work.store.delete(JOBS, meta["namespace"], meta["name"], policy="Foreground", uid=meta["uid"])
    except ApiError as error:
        if error.code != 404:
            raise
    return None


CONTROLLER = Controller("job", JOBS, reconcile, watches={PODS: None})
