"""Pods that no Job counts any more: the finalizer that kept them for their Job's sake goes.

Their Job was deleted (with them: they could never go; or without them), or they were taken from it. Source: syncOrphanPod
in pkg/controller/job of Kubernetes 1.34.
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.embedded.controllers.job.pods import tracked, untrack
from labkit.embedded.controllers.loop import Controller
from labkit.embedded.controllers.owners import controller_of
from labkit.embedded.resources import JOBS, PODS, by_kind
from labkit.embedded.store import Event, Key, Object, Store


def reconcile(pod: Object, store: Store) -> None:
    if tracked(pod) and not _is_counted(pod, store):
        untrack(pod, store)


def _is_counted(pod: Object, store: Store) -> bool:
    owner = controller_of(pod)
    if owner is None:
        return False
    if by_kind(owner["apiVersion"], owner["kind"]) is not JOBS:
        return True  # by whom, is not ours to know
    job = store.find(JOBS, pod["metadata"]["namespace"], owner["name"])
    return job is not None and job["metadata"]["uid"] == owner["uid"]


def _left_by(event: Event, store: Store) -> Iterable[Key]:
    """The pods of a Job that is deleted."""
    if event.type != "DELETED":
        return []
    found = store.owned(event.object["metadata"]["uid"], PODS, shared=True)
    return [(p["metadata"]["namespace"], p["metadata"]["name"]) for p in found]


CONTROLLER = Controller("pods of deleted jobs", PODS, reconcile, finds={JOBS: _left_by})
