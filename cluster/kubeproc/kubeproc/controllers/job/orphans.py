"""Pods that no Job counts any more: the controller removes their tracking finalizer.

Their Job was deleted, with or without them, or they were released from it. Source: syncOrphanPod
in pkg/controller/job of Kubernetes 1.34.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubeproc.controllers.job.job_pods import tracked, untrack
from kubeproc.controllers.loop import Controller
from kubeproc.controllers.owners import controller_of
from kubeproc.resources import JOBS, PODS, by_kind
from kubeproc.store import Event, Key, Object, Store


def reconcile(pod: Object, store: Store) -> None:
    if tracked(pod) and not _is_counted(pod, store):
        untrack(pod, store)


def _is_counted(pod: Object, store: Store) -> bool:
    owner = controller_of(pod)
    if owner is None:
        return False
    if by_kind(owner["apiVersion"], owner["kind"]) is not JOBS:
        return True  # by which controller is unknown here
    job = store.find(JOBS, pod["metadata"]["namespace"], owner["name"])
    return job is not None and job["metadata"]["uid"] == owner["uid"]


def _left_by(event: Event, store: Store) -> Iterable[Key]:
    """The pods of a deleted Job."""
    if event.type != "DELETED":
        return []
    found = store.owned(event.object["metadata"]["uid"], PODS, shared=True)
    return [(p["metadata"]["namespace"], p["metadata"]["name"]) for p in found]


CONTROLLER = Controller("pods of deleted jobs", PODS, reconcile, finds={JOBS: _left_by})
