"""A Job's pods: made from its template, tracked by a finalizer until they are counted, delayed after failures.

Every pod carries the finalizer `batch.kubernetes.io/job-tracking`, so that one that is deleted stays until it has been
counted; its uid stands in `status.uncountedTerminatedPods` from then until the finalizer is off, so that a crash in
between counts it once. Source: pkg/controller/job of Kubernetes 1.34.
"""

from __future__ import annotations

from labkit.embedded.admission.job import INDEX
from labkit.embedded.controllers import pods, times
from labkit.embedded.controllers.owners import deleting
from labkit.embedded.resources import PODS
from labkit.embedded.store import Object, Store

COMPONENT = "job-controller"
TRACKING = "batch.kubernetes.io/job-tracking"
FIRST_DELAY, LAST_DELAY = 10.0, 600.0


def failed(pod: Object) -> bool:
    """A pod that is being deleted before it succeeded counts as failed."""
    return pods.phase(pod) == "Failed" or (deleting(pod) and pods.phase(pod) != "Succeeded")


def tracked(pod: Object) -> bool:
    return TRACKING in (pod["metadata"].get("finalizers") or ())


def create(job: Object, index: int | None, store: Store) -> None:
    name = job["metadata"]["name"]
    prefix = f"{name}-" if index is None else f"{name}-{index}-"
    pod = pods.from_template(job["spec"]["template"], job, generateName=prefix)
    pod["metadata"]["finalizers"] = [*(pod["metadata"].get("finalizers") or ()), TRACKING]
    if index is not None:
        for part in ("labels", "annotations"):
            pod["metadata"][part] = {**(pod["metadata"].get(part) or {}), INDEX: str(index)}
        pod["spec"].setdefault("hostname", f"{name}-{index}")
        for kind in ("initContainers", "containers"):
            if kind in pod["spec"]:
                pod["spec"][kind] = [_indexed(c) for c in pod["spec"][kind]]
    pods.create(store, job, pod, COMPONENT)


def _indexed(container: Object) -> Object:
    if any(e.get("name") == "JOB_COMPLETION_INDEX" for e in container.get("env") or ()):
        return container
    field = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    return container | {"env": [*(container.get("env") or ()), {"name": "JOB_COMPLETION_INDEX", "valueFrom": field}]}


def untrack(pod: Object, store: Store) -> None:
    """Take the finalizer off: the pod may go."""
    meta = pod["metadata"]

    def change(fresh: Object) -> None:
        left = [f for f in fresh["metadata"].get("finalizers") or () if f != TRACKING]
        fresh["metadata"]["finalizers"] = left
        if not left:
            del fresh["metadata"]["finalizers"]

    if tracked(pod):
        store.modify(PODS, meta["namespace"], meta["name"], change)


def _end(pod: Object) -> float:
    """When the pod ended, in seconds since the epoch."""
    status = pod.get("status") or {}
    ends = [t["finishedAt"] for c in status.get("containerStatuses") or ()
            if (t := (c.get("state") or {}).get("terminated")) and t.get("finishedAt")]  # fmt: skip
    if not ends and deleting(pod):
        return pods.deleted_at(pod)
    return times.seconds(max(ends, default=pod["metadata"]["creationTimestamp"]))


def delay(mine: list[Object]) -> float:
    """How long to wait before another pod is made: 10 s after a failure, doubled for each further one since the last
    success, 10 minutes at most; 0 when nothing has failed."""
    failures, last = 0, 0.0
    for pod in sorted((p for p in mine if pods.finished(p) or failed(p)), key=_end):
        if failed(pod):
            failures, last = failures + 1, _end(pod)
        else:
            failures = 0
    if not failures:
        return 0.0
    wait = min(FIRST_DELAY * 2 ** min(failures - 1, 10), LAST_DELAY)
    return max(0.0, wait - times.age(times.stamp(last)))
