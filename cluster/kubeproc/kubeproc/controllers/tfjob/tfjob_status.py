"""A TFJob's status: conditions that replace each other as in training-operator 1.9, and counters for each type.

Source: pkg/util/status.go and pkg/controller.v1/tensorflow/tfjob_controller.go (UpdateJobStatus).
"""

from __future__ import annotations

from kubeproc import timestamps
from kubeproc.controllers import events
from kubeproc.controllers.owners import deleting
from kubeproc.controllers.pod_making import phase
from kubeproc.controllers.tfjob.config import CHIEFS, KNOWN, Replica, has_chief
from kubeproc.store import Object, Store

COMPONENT = "tfjob-controller"
CREATED, RUNNING, RESTARTING, SUCCEEDED, FAILED, SUSPENDED = (
    "Created", "Running", "Restarting", "Succeeded", "Failed", "Suspended")  # fmt: skip


def holds(status: Object, type: str) -> bool:
    return any(c["type"] == type and c["status"] == "True" for c in status.get("conditions") or ())


def finished(status: Object) -> bool:
    return holds(status, SUCCEEDED) or holds(status, FAILED)


def put(status: Object, type: str, reason: str, message: str, value: str = "True") -> None:
    """Set a condition the operator's way: it moves to the end; Running and Restarting drop each other; success and
    failure set Running to False; after failure the conditions no longer change."""
    if holds(status, FAILED):
        return
    old = next((c for c in status.get("conditions") or () if c["type"] == type), None)
    if old is not None and (old["status"], old["reason"]) == (value, reason):
        return
    moment = timestamps.now()
    changed = old["lastTransitionTime"] if old is not None and old["status"] == value else moment
    kept = []
    for entry in status.get("conditions") or ():
        if entry["type"] == type or {entry["type"], type} == {RUNNING, RESTARTING}:
            continue
        if type in (SUCCEEDED, FAILED) and entry["type"] == RUNNING:
            entry = entry | {"status": "False"}
        kept.append(entry)
    status["conditions"] = [*kept, {"lastTransitionTime": changed, "lastUpdateTime": moment, "message": message,
                                    "reason": reason, "status": value, "type": type}]  # fmt: skip


def count(status: Object, replica: Replica, pods: list[Object]) -> None:
    """Write the counters of one type. A running pod that is being deleted counts as failed."""
    numbers = {"active": 0, "succeeded": 0, "failed": 0}
    for pod in pods:
        kind = {"Running": "failed" if deleting(pod) else "active", "Succeeded": "succeeded", "Failed": "failed"}
        if phase(pod) in kind:
            numbers[kind[phase(pod)]] += 1
    status["replicaStatuses"][replica.type] = {k: v for k, v in numbers.items() if v}


def settle_counters(status: Object) -> None:
    """After success, active replicas are counted as succeeded."""
    for entry in (status.get("replicaStatuses") or {}).values():
        total = entry.get("succeeded", 0) + entry.pop("active", 0)
        if total:
            entry["succeeded"] = total


def judge(job: Object, kinds: dict[str, Replica], status: Object, first_done: bool, store: Store) -> None:
    """From the counters to Running, Succeeded or Failed. `first_done`: worker 0 has exited with 0."""
    meta = job["metadata"]
    full = f"{meta['namespace']}/{meta['name']}"
    status.setdefault("startTime", timestamps.now())
    restarting = next((dict(c) for c in status.get("conditions") or () if c["type"] == RESTARTING), None)
    everybody = job["spec"].get("successPolicy") == "AllWorkers"
    for kind in (k for k in KNOWN if k in kinds):
        numbers = status["replicaStatuses"][kind]
        left = kinds[kind].count - numbers.get("succeeded", 0)
        decides = kind in CHIEFS if has_chief(kinds) else kind == "Worker"
        early = not has_chief(kinds) and first_done and not everybody
        if decides and has_chief(kinds):
            if numbers.get("active"):
                put(status, RUNNING, "TFJobRunning", f"TFJob {full} is running.")
            if left == 0:
                _succeed(job, full, status, store)
        elif decides:
            if left == 0 or early:
                _succeed(job, full, status, store)
            elif numbers.get("active"):
                put(status, RUNNING, "TFJobRunning", f"TFJob {full} is running.")
        if numbers.get("failed"):
            if restarting is not None:
                put(status, RESTARTING, restarting["reason"], restarting["message"])
            elif not (job["spec"].get("enableDynamicWorker") and kind == "Worker"):
                words = f"TFJob {full} has failed because {numbers['failed']} {kind} replica(s) failed."
                events.record(store, job, events.NORMAL, "TFJobFailed", words, component=COMPONENT)
                status.setdefault("completionTime", timestamps.now())
                put(status, FAILED, "TFJobFailed", words)


def _succeed(job: Object, full: str, status: Object, store: Store) -> None:
    words = f"TFJob {full} successfully completed."
    events.record(store, job, events.NORMAL, "TFJobSucceeded", words, component=COMPONENT)
    status.setdefault("completionTime", timestamps.now())
    put(status, SUCCEEDED, "TFJobSucceeded", words)
