"""Deployments: rollouts of a template by ReplicaSets, as pkg/controller/deployment of Kubernetes 1.34.

Each reconcile makes at most one step (scale up or scale down) and writes the status; changes of the ReplicaSets trigger
the next one. A rollback is a rollout of an older template, which `kubectl rollout undo` writes into the spec.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubeproc import selectors
from kubeproc.controllers.deployment import deployment_status, replicasets, rolling
from kubeproc.controllers.deployment.replicasets import DESIRED, REVISION, replicas
from kubeproc.controllers.loop import Controller
from kubeproc.controllers.owners import claim, controlled, controller_of, deleting
from kubeproc.controllers.pod_making import finished
from kubeproc.resources import DEPLOYMENTS, PODS, REPLICASETS
from kubeproc.store import Event, Key, Object, Store


def reconcile(deployment: Object, store: Store) -> float | None:
    found = claim(deployment, REPLICASETS, deployment["spec"]["selector"], store)
    new, old = replicasets.split(deployment, found)
    if deleting(deployment):
        return _write(deployment, new, found, store)
    _note_pause(deployment)
    if new is not None:
        new = replicasets.refresh(deployment, new, old, store)
        if deployment["spec"].get("progressDeadlineSeconds") is not None and _progressing(deployment) is None:
            words = f'Found new replica set "{new["metadata"]["name"]}"'
            _set_progressing(deployment, "FoundNewReplicaSet", words)
    if deployment["spec"].get("paused") or _resized(deployment, found):
        rolling.resize(deployment, new, old, store)
    elif deployment["spec"]["strategy"]["type"] == "Recreate":
        new = _recreate(deployment, new, old, store)
    else:
        new = new or _create(deployment, old, rolling.new_size(deployment, old, 0), store)
        rolling.roll(deployment, new, old, store)
    if deployment_status.complete(deployment, deployment.get("status") or {}):
        replicasets.clean_up(deployment, old, store)
    return _write(deployment, new, [*old, *([new] if new else [])], store)


def _progressing(deployment: Object) -> Object | None:
    return deployment_status.find(deployment.get("status") or {}, deployment_status.PROGRESSING)


def _set_progressing(deployment: Object, reason: str, words: str, value: str = "True") -> None:
    deployment_status.put(deployment.setdefault("status", {}), deployment_status.PROGRESSING, value, reason, words)


def _note_pause(deployment: Object) -> None:
    """Pausing stops the progress deadline, resuming restarts it."""
    if deployment["spec"].get("progressDeadlineSeconds") is None:
        return
    current, paused = _progressing(deployment), bool(deployment["spec"].get("paused"))
    if current is not None and current["reason"] == deployment_status.TIMED_OUT:
        return
    was_paused = current is not None and current["reason"] == "DeploymentPaused"
    if paused and not was_paused:
        _set_progressing(deployment, "DeploymentPaused", "Deployment is paused", "Unknown")
    elif not paused and was_paused:
        _set_progressing(deployment, "DeploymentResumed", "Deployment is resumed", "Unknown")


def _resized(deployment: Object, found: list[Object]) -> bool:
    """Whether `replicas` has changed since the active ReplicaSets were last scaled."""
    for rs in found:
        noted = (rs["metadata"].get("annotations") or {}).get(DESIRED, "")
        if replicas(rs) and noted.isdigit() and int(noted) != deployment["spec"]["replicas"]:
            return True
    return False


def _create(deployment: Object, old: list[Object], count: int, store: Store) -> Object:
    new = replicasets.create(deployment, old, count, store)
    if deployment["spec"].get("progressDeadlineSeconds") is not None:
        _set_progressing(deployment, "NewReplicaSetCreated", f'Created new replica set "{new["metadata"]["name"]}"')
    return new


def _recreate(deployment: Object, new: Object | None, old: list[Object], store: Store) -> Object | None:
    """All old pods are deleted, completely, before the first new one is created."""
    shrunk = [replicasets.scale(deployment, rs, 0, store) for rs in old if replicas(rs)]
    if any(shrunk):
        return new
    if any(not finished(p) for rs in old for p in controlled(rs, PODS, store)):
        return new
    if new is None:
        return _create(deployment, old, deployment["spec"]["replicas"], store)
    replicasets.scale(deployment, new, deployment["spec"]["replicas"], store)
    return new


def _write(deployment: Object, new: Object | None, everyone: list[Object], store: Store) -> float | None:
    state = deployment_status.count(deployment, new, everyone)
    if not deployment["spec"].get("paused"):
        deployment_status.progress(deployment, new, everyone, state)
    meta = deployment["metadata"]

    def change(fresh: Object) -> None:
        fresh["status"] = state
        if new is not None and (text := new["metadata"]["annotations"].get(REVISION)):
            fresh["metadata"].setdefault("annotations", {})[REVISION] = text

    store.modify(DEPLOYMENTS, meta["namespace"], meta["name"], change)
    return deployment_status.check_again(deployment, state)


def _of_pod(event: Event, store: Store) -> Iterable[Key]:
    """A Recreate rollout waits for the removal of pods."""
    owner = controller_of(event.object)
    if event.type != "DELETED" or owner is None or owner["kind"] != REPLICASETS.kind:
        return []
    rs = store.find(REPLICASETS, event.key[0], owner["name"])
    above = controller_of(rs) if rs else None
    return [(event.key[0], above["name"])] if above and above["kind"] == DEPLOYMENTS.kind else []


def _of_orphan(event: Event, store: Store) -> Iterable[Key]:
    """The Deployments that may adopt a ReplicaSet without a controller."""
    if controller_of(event.object) is not None or event.type == "DELETED":
        return []
    found = store.list(DEPLOYMENTS, event.key[0], lambda d: selectors.from_spec(d["spec"]["selector"])(event.object))
    return [(d["metadata"]["namespace"], d["metadata"]["name"]) for d in found]


CONTROLLER = Controller(
    "deployment", DEPLOYMENTS, reconcile, watches={REPLICASETS: None}, finds={PODS: _of_pod, REPLICASETS: _of_orphan}
)
