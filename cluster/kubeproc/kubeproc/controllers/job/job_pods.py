"""A Job's pods: created from its template, tracked by a finalizer until they are counted, delayed after failures.

Every pod carries the finalizer `batch.kubernetes.io/job-tracking`, so that a deleted pod remains until it is counted.
Its uid is in `status.uncountedTerminatedPods` until the finalizer is removed, so that it is counted once even after a
crash in between. Source: pkg/controller/job of Kubernetes 1.34.
"""

from __future__ import annotations

from kubeproc import timestamps
from kubeproc.admission.job import INDEX
from kubeproc.controllers import pod_making
from kubeproc.controllers.owners import deleting
from kubeproc.resources import PODS
from kubeproc.store import Object, Store

COMPONENT = "job-controller"
TRACKING = "batch.kubernetes.io/job-tracking"
FIRST_DELAY, LAST_DELAY = 10.0, 600.0


def failed(pod: Object, job: Object) -> bool:
    """Whether the pod counts as failed: a pod that is being deleted does, unless it succeeded or the Job only replaces
    failed pods."""
    if pod_making.phase(pod) == "Failed":
        return True
    return deleting(pod) and pod_making.phase(pod) != "Succeeded" and not replaces_failed_only(job)


def replaces_failed_only(job: Object) -> bool:
    return job["spec"]["podReplacementPolicy"] == "Failed"


def tracked(pod: Object) -> bool:
    return TRACKING in (pod["metadata"].get("finalizers") or ())


def create(job: Object, index: int | None, store: Store) -> None:
    name = job["metadata"]["name"]
    prefix = f"{name}-" if index is None else f"{name}-{index}-"
    pod = pod_making.from_template(job["spec"]["template"], job, generateName=prefix)
    pod["metadata"]["finalizers"] = [*(pod["metadata"].get("finalizers") or ()), TRACKING]
    if index is not None:
        for part in ("labels", "annotations"):
            pod["metadata"][part] = {**(pod["metadata"].get(part) or {}), INDEX: str(index)}
        pod["spec"].setdefault("hostname", f"{name}-{index}")
        for kind in ("initContainers", "containers"):
            if kind in pod["spec"]:
                pod["spec"][kind] = [_indexed(c) for c in pod["spec"][kind]]
    pod_making.create(store, job, pod, COMPONENT)


def _indexed(container: Object) -> Object:
    if any(e.get("name") == "JOB_COMPLETION_INDEX" for e in container.get("env") or ()):
        return container
    field = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    return container | {"env": [*(container.get("env") or ()), {"name": "JOB_COMPLETION_INDEX", "valueFrom": field}]}


def untrack(pod: Object, store: Store) -> None:
    """Remove the finalizer, so that the pod can be removed."""
    meta = pod["metadata"]

    def change(fresh: Object) -> None:
        left = [f for f in fresh["metadata"].get("finalizers") or () if f != TRACKING]
        fresh["metadata"]["finalizers"] = left
        if not left:
            del fresh["metadata"]["finalizers"]

    if tracked(pod):
        store.modify(PODS, meta["namespace"], meta["name"], change)


def remove(pod: Object, job: Object, store: Store) -> None:
    """Delete a pod that the Job no longer wants. It is untracked first, so that it does not count as failed."""
    untrack(pod, store)
    pod_making.delete(store, job, pod, COMPONENT)


def _end(pod: Object) -> float:
    """The time when the pod ended, in seconds since the epoch."""
    status = pod.get("status") or {}
    ends = [t["finishedAt"] for c in status.get("containerStatuses") or ()
            if (t := (c.get("state") or {}).get("terminated")) and t.get("finishedAt")]  # fmt: skip
    if not ends and deleting(pod):
        return pod_making.deleted_at(pod)
    return timestamps.seconds(max(ends, default=pod["metadata"]["creationTimestamp"]))


def delay(job: Object, mine: list[Object], counted: int) -> float:
    """The delay before another pod is created: 10 s after a failure, doubled for each further one since the last
    success, 10 minutes at most; 0 without failures. At most `counted` failures are considered: a pod that the Job
    itself removed looks like one that a user deleted."""
    failures, last = 0, 0.0
    for pod in sorted((p for p in mine if pod_making.finished(p) or failed(p, job)), key=_end):
        if failed(pod, job):
            failures, last = failures + 1, _end(pod)
        else:
            failures = 0
    failures = min(failures, counted)
    if not failures:
        return 0.0
    wait = min(FIRST_DELAY * 2 ** min(failures - 1, 10), LAST_DELAY)
    return max(0.0, wait - timestamps.age(timestamps.stamp(last)))
