"""Deployments: rollouts of a template by ReplicaSets, as pkg/controller/deployment of Kubernetes 1.34.

Each call makes one step (grow, shrink, or nothing) and writes the status; the ReplicaSets' own changes bring the next
call. A rollback is a rollout of an older template, which `kubectl rollout undo` writes into the spec.
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.embedded import selectors
from labkit.embedded.controllers.deployment import replicasets, rolling, status
from labkit.embedded.controllers.deployment.replicasets import DESIRED, REVISION, replicas
from labkit.embedded.controllers.loop import Controller
from labkit.embedded.controllers.owners import claim, controlled, controller_of, deleting
from labkit.embedded.controllers.pods import finished
from labkit.embedded.resources import DEPLOYMENTS, PODS, REPLICASETS
from labkit.embedded.store import Event, Key, Object, Store


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
    if status.complete(deployment, deployment.get("status") or {}):
        replicasets.clean_up(deployment, old, store)
    return _write(deployment, new, [*old, *([new] if new else [])], store)


def _progressing(deployment: Object) -> Object | None:
    return status.find(deployment.get("status") or {}, status.PROGRESSING)


def _set_progressing(deployment: Object, reason: str, words: str, value: str = "True") -> None:
    status.put(deployment.setdefault("status", {}), status.PROGRESSING, value, reason, words)


def _note_pause(deployment: Object) -> None:
    """Pausing stops the clock of the progress deadline, resuming starts it anew."""
    if deployment["spec"].get("progressDeadlineSeconds") is None:
        return
    current, paused = _progressing(deployment), bool(deployment["spec"].get("paused"))
    if current is not None and current["reason"] == status.TIMED_OUT:
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
    """All old pods go, and are gone, before the first new one is made."""
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
    state = status.count(deployment, new, everyone)
    if not deployment["spec"].get("paused"):
        status.progress(deployment, new, everyone, state)
    meta = deployment["metadata"]

    def change(fresh: Object) -> None:
        fresh["status"] = state
        if new is not None and (text := new["metadata"]["annotations"].get(REVISION)):
            fresh["metadata"].setdefault("annotations", {})[REVISION] = text

    store.modify(DEPLOYMENTS, meta["namespace"], meta["name"], change)
    return status.check_again(deployment, state)


def _of_pod(event: Event, store: Store) -> Iterable[Key]:
    """A pod that has gone may be what a Recreate waits for."""
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
