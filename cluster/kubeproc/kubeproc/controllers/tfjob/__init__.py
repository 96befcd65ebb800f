"""TFJobs as training-operator 1.9 runs them (pkg/controller.v1/common/job.go, .../tensorflow/tfjob_controller.go).

A finished job is cleaned up by its cleanPodPolicy and ttlSecondsAfterFinished; a suspended one has no pods; one past
its back-off limit or deadline fails; otherwise pods and Services are reconciled with the spec and the status is
updated. One difference: a deadline takes effect when it passes, not at the operator's next reconcile.
"""

from __future__ import annotations

import copy

from kubeproc import timestamps
from kubeproc.admission.tfjob import MANAGERS
from kubeproc.controllers import events
from kubeproc.controllers.loop import Controller
from kubeproc.controllers.owners import controlled, deleting
from kubeproc.controllers.pod_making import phase
from kubeproc.controllers.tfjob import replicas, tfjob_status
from kubeproc.controllers.tfjob.config import Replica, policy, read
from kubeproc.controllers.tfjob.tfjob_status import COMPONENT, FAILED, RUNNING, SUCCEEDED, SUSPENDED, holds, put
from kubeproc.resources import PODS, SERVICES, TFJOBS
from kubeproc.store import Object, Store


def reconcile(job: Object, store: Store) -> float | None:
    run = policy(job)
    if deleting(job) or run.get("managedBy") not in (None, MANAGERS[0]):
        return None
    state = copy.deepcopy(job.get("status") or {})
    name = job["metadata"]["name"]
    if not state.get("conditions"):
        put(state, tfjob_status.CREATED, "TFJobCreated", f"TFJob {name} is created.")
    pods = controlled(job, PODS, store, shared=True)
    if tfjob_status.finished(state):
        return _after_end(job, run, state, pods, store)
    if run.get("suspend"):
        _suspend(job, run, state, pods, store)
        return None
    if holds(state, SUSPENDED):
        words = f"TFJob {name} is resumed."
        put(state, SUSPENDED, "TFJobResumed", words, "False")
        state["startTime"] = timestamps.now()
        events.record(store, job, events.NORMAL, "TFJobResumed", words, component=COMPONENT)
    kinds = read(job)
    if any(r.count < 0 for r in kinds.values()):
        return None  # accepted, as upstream, although the operator can't run it either
    _report_abnormal(job, pods, store)
    if words := _limit(job, run, state, kinds, pods):
        return _fail(job, run, state, pods, words, store)
    state.setdefault("replicaStatuses", {})
    services = controlled(job, SERVICES, store, shared=True)
    for replica in kinds.values():
        replicas.reconcile_pods(job, kinds, replica, pods, state, store)
        replicas.reconcile_services(job, replica, services, store)
    tfjob_status.judge(job, kinds, state, _first_done(kinds, pods), store)
    _write(job, state, store)
    return _wake(run, state)


def _wake(run: Object, state: Object) -> float | None:
    """The seconds until the deadline."""
    if run.get("activeDeadlineSeconds") is None or tfjob_status.finished(state) or not state.get("startTime"):
        return None
    return max(0.0, run["activeDeadlineSeconds"] - timestamps.age(state["startTime"])) + 0.01


def _first_done(kinds: dict[str, Replica], pods: list[Object]) -> bool:
    """Whether worker 0 has exited with 0; true for a job without workers."""
    if "Worker" not in kinds:
        return True
    first = replicas.of_type(pods, kinds["Worker"]).get(0)
    return first is not None and phase(first) == "Succeeded" and replicas.exit_code(first) == 0


def _limit(job: Object, run: Object, state: Object, kinds: dict[str, Replica], pods: list[Object]) -> str:
    """Why the job must fail now: its back-off limit or its deadline; empty if neither is reached."""
    name, limit = job["metadata"]["name"], run.get("backoffLimit")
    if limit is not None and _past(limit, state, kinds, pods):
        return f"Job {name} has failed because it has reached the specified backoff limit"
    deadline, start = run.get("activeDeadlineSeconds"), state.get("startTime")
    if deadline is not None and start and timestamps.age(start) >= deadline:
        return f"Job {name} has failed because it was active longer than specified deadline"
    return ""


def _past(limit: int, state: Object, kinds: dict[str, Replica], pods: list[Object]) -> bool:
    """Whether the back-off limit is reached: by restarts, or, if it is 0, by a failure that is not yet counted."""
    restarts = _restarts(kinds, pods)
    if limit > 0:
        return restarts >= limit
    failed = sum(phase(p) == "Failed" for p in pods)
    counted = sum(e.get("failed", 0) for e in (state.get("replicaStatuses") or {}).values())
    return restarts > 0 or failed > counted


def _restarts(kinds: dict[str, Replica], pods: list[Object]) -> int:
    """The restarts of all containers in running pods whose type may restart."""
    total = 0
    for replica in kinds.values():
        if replica.restart not in ("OnFailure", "Always", "ExitCode"):
            continue
        for pod in replicas.of_type(pods, replica).values():
            if phase(pod) == "Running":
                found = [
                    *(pod["status"].get("initContainerStatuses") or ()),
                    *(pod["status"].get("containerStatuses") or ()),
                ]
                total += sum(c.get("restartCount", 0) for c in found)
    return total


def _fail(job: Object, run: Object, state: Object, pods: list[Object], words: str, store: Store) -> float | None:
    state.setdefault("completionTime", timestamps.now())
    _clean(job, run, state, pods, store)
    events.record(store, job, events.NORMAL, "TFJobFailed", words, component=COMPONENT)
    put(state, FAILED, "TFJobFailed", words)
    _write(job, state, store)
    return None


def _suspend(job: Object, run: Object, state: Object, pods: list[Object], store: Store) -> None:
    words = f"TFJob {job['metadata']['name']} is suspended."
    _clean(job, run, state, pods, store)
    for entry in (state.get("replicaStatuses") or {}).values():
        entry.pop("active", None)
    if holds(state, RUNNING):
        put(state, RUNNING, "TFJobSuspended", words, "False")
    if not holds(state, SUSPENDED):
        put(state, SUSPENDED, "TFJobSuspended", words)
        events.record(store, job, events.NORMAL, "TFJobSuspended", words, component=COMPONENT)
    _write(job, state, store)


def _after_end(job: Object, run: Object, state: Object, pods: list[Object], store: Store) -> float | None:
    """Clean up, count active replicas as succeeded, and delete the job when ttlSecondsAfterFinished has passed."""
    _clean(job, run, state, pods, store)
    if holds(state, SUCCEEDED):
        tfjob_status.settle_counters(state)
    _write(job, state, store)
    ttl = run.get("ttlSecondsAfterFinished")
    if ttl is None or run.get("suspend") or not state.get("completionTime"):
        return None
    left = ttl - timestamps.age(state["completionTime"])
    if left > 0:
        return left
    meta = job["metadata"]
    store.delete(TFJOBS, meta["namespace"], meta["name"], uid=meta["uid"])
    return None


def _clean(job: Object, run: Object, state: Object, pods: list[Object], store: Store) -> None:
    """Delete pods and the Services of the same name; for a finished job only those that its cleanPodPolicy names."""
    ended, rule = tfjob_status.finished(state), run["cleanPodPolicy"]
    if ended and rule == "None":
        return
    services = {s["metadata"]["name"]: s for s in controlled(job, SERVICES, store, shared=True)}
    for pod in pods:
        if ended and rule == "Running" and phase(pod) not in ("Running", "Pending"):
            continue
        replicas.remove(job, PODS, pod, store)
        if service := services.get(pod["metadata"]["name"]):
            replicas.remove(job, SERVICES, service, store)


def _report_abnormal(job: Object, pods: list[Object], store: Store) -> None:
    """Events of the job about containers of its active pods that failed or can't start."""
    for pod in pods:
        if phase(pod) in ("Succeeded", "Failed") or deleting(pod):
            continue
        name = pod["metadata"]["name"]
        for container in (pod.get("status") or {}).get("containerStatuses") or ():
            state, where = container.get("state") or {}, f"Error pod {name} container {container['name']}"
            if (ended := state.get("terminated")) and ended["exitCode"] != 0:
                words = f"{where} exitCode: {ended['exitCode']} terminated message: {ended.get('message', '')}"
                events.record(store, job, events.WARNING, ended.get("reason", "Error"), words, component=COMPONENT)
            if (waiting := state.get("waiting")) and waiting.get("message"):
                words = f"{where} waiting message: {waiting['message']}"
                events.record(store, job, events.WARNING, waiting.get("reason", ""), words, component=COMPONENT)


def _write(job: Object, state: Object, store: Store) -> None:
    if state != (job.get("status") or {}):
        store.update_status(TFJOBS, job | {"status": state})


CONTROLLER = Controller("tfjob", TFJOBS, reconcile, watches={PODS: None, SERVICES: None})
