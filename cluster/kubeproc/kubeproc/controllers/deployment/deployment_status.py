"""A Deployment's status: counters, Available, and Progressing with its deadline.

Source: pkg/controller/deployment/{sync,progress}.go of Kubernetes 1.34.
"""

from __future__ import annotations

from kubeproc import timestamps
from kubeproc.controllers.deployment.replicasets import available, bounds, replicas
from kubeproc.store import Object

PROGRESSING, AVAILABLE, FAILURE = "Progressing", "Available", "ReplicaFailure"
TIMED_OUT, NEW_AVAILABLE = "ProgressDeadlineExceeded", "NewReplicaSetAvailable"


def find(status: Object, type: str) -> Object | None:
    return next((c for c in status.get("conditions") or () if c["type"] == type), None)


def drop(status: Object, type: str) -> None:
    kept = [c for c in status.get("conditions") or () if c["type"] != type]
    if kept or "conditions" in status:
        status["conditions"] = kept


def put(status: Object, type: str, value: str, reason: str, message: str, *, again: bool = False) -> None:
    """Set a condition: no change if status and reason are the same, unless `again`, which renews
    lastUpdateTime (progress was made)."""
    old = find(status, type)
    if old is not None and (old["status"], old["reason"]) == (value, reason) and not again:
        return
    moment = timestamps.now()
    changed = old["lastTransitionTime"] if old is not None and old["status"] == value else moment
    drop(status, type)
    new = {"type": type, "status": value, "lastUpdateTime": moment, "lastTransitionTime": changed,
           "reason": reason, "message": message}  # fmt: skip
    status["conditions"] = [*(status.get("conditions") or ()), new]


def count(deployment: Object, new: Object | None, everyone: list[Object]) -> Object:
    """The status with fresh counters and the condition Available."""
    old = deployment.get("status") or {}
    total = sum(replicas(rs) for rs in everyone)
    usable = sum((rs.get("status") or {}).get("availableReplicas", 0) for rs in everyone)
    numbers = {
        "replicas": sum((rs.get("status") or {}).get("replicas", 0) for rs in everyone),
        "updatedReplicas": ((new or {}).get("status") or {}).get("replicas", 0),
        "readyReplicas": sum((rs.get("status") or {}).get("readyReplicas", 0) for rs in everyone),
        "availableReplicas": usable,
        "unavailableReplicas": max(0, total - usable),
        "collisionCount": old.get("collisionCount", 0),
    }
    status: Object = {"observedGeneration": deployment["metadata"].get("generation", 0)}
    status |= {k: v for k, v in numbers.items() if v}
    if old.get("conditions"):
        status["conditions"] = list(old["conditions"])
    if sum(available(rs) for rs in everyone) >= deployment["spec"]["replicas"] - bounds(deployment)[1]:
        put(status, AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        words = "Deployment does not have minimum availability."
        put(status, AVAILABLE, "False", "MinimumReplicasUnavailable", words)
    return status


def complete(deployment: Object, status: Object) -> bool:
    wanted = deployment["spec"]["replicas"]
    same = all(status.get(n, 0) == wanted for n in ("updatedReplicas", "replicas", "availableReplicas"))
    return same and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)


def progress(deployment: Object, new: Object | None, everyone: list[Object], status: Object) -> None:
    """Set Progressing: complete, moving, or past its deadline."""
    old, deadline = deployment.get("status") or {}, deployment["spec"].get("progressDeadlineSeconds")
    subject = f'ReplicaSet "{new["metadata"]["name"]}"' if new else f'Deployment "{deployment["metadata"]["name"]}"'
    current = find(old, PROGRESSING)
    if deadline is None:
        drop(status, PROGRESSING)
    finished = current is not None and current["reason"] == NEW_AVAILABLE
    if deadline is not None and not (finished and status.get("replicas", 0) == status.get("updatedReplicas", 0)):
        if complete(deployment, status):
            put(status, PROGRESSING, "True", NEW_AVAILABLE, f"{subject} has successfully progressed.")
        elif _moved(old, status):
            put(status, PROGRESSING, "True", "ReplicaSetUpdated", f"{subject} is progressing.", again=True)
        elif timed_out(status, deadline):
            put(status, PROGRESSING, "False", TIMED_OUT, f"{subject} has timed out progressing.")
    failures = [c for rs in everyone if (c := find(rs.get("status") or {}, FAILURE))]
    own = find((new or {}).get("status") or {}, FAILURE)
    if own or failures:
        failure = own or failures[0]
        put(status, FAILURE, failure["status"], failure["reason"], failure["message"])
    else:
        drop(status, FAILURE)


def _moved(old: Object, new: Object) -> bool:
    def of_old(s: Object) -> int:
        return s.get("replicas", 0) - s.get("updatedReplicas", 0)

    more = any(new.get(n, 0) > old.get(n, 0) for n in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return more or of_old(new) < of_old(old)


def timed_out(status: Object, deadline: int) -> bool:
    current = find(status, PROGRESSING)
    if current is None or current["reason"] == NEW_AVAILABLE:
        return False
    return current["reason"] == TIMED_OUT or timestamps.age(current["lastUpdateTime"]) > deadline


def check_again(deployment: Object, status: Object) -> float | None:
    """The seconds until the progress deadline must be checked."""
    current, deadline = find(status, PROGRESSING), deployment["spec"].get("progressDeadlineSeconds")
    if current is None or deadline is None or complete(deployment, status) or current["reason"] == TIMED_OUT:
        return None
    if current["reason"] == NEW_AVAILABLE:
        return None
    return max(0.0, deadline - timestamps.age(current["lastUpdateTime"])) + 1
