"""Retention: events are kept for an hour, and the numbers of events and of finished pods are limited."""

from __future__ import annotations

from kubeproc import timestamps
from kubeproc.api_errors import ApiError
from kubeproc.controllers.events import MAXIMUM
from kubeproc.controllers.loop import Controller
from kubeproc.controllers.owners import deleting
from kubeproc.controllers.pod_making import finished
from kubeproc.resources import EVENTS, NAMESPACES, PODS, Resource
from kubeproc.store import Object, Store

EVENT_SECONDS, FINISHED_PODS, INTERVAL = 3600.0, 500, 30.0


def _last(event: Object) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]


def expire(event: Object, store: Store) -> float | None:
    """Delete an event an hour after it last happened."""
    left = EVENT_SECONDS - timestamps.age(_last(event))
    if left > 0:
        return left + 1
    _delete(EVENTS, event, store)
    return None


def trim(namespace: Object, store: Store) -> float | None:
    """Delete the oldest events and finished pods of a namespace beyond the limits; check again later."""
    name = namespace["metadata"]["name"]
    if (excess := store.count(EVENTS, name) - MAXIMUM) > 0:
        for event in sorted(store.list(EVENTS, name), key=_last)[:excess]:
            _delete(EVENTS, event, store)
    if store.count(PODS, name) > FINISHED_PODS:
        ended = [p for p in store.list(PODS, name, lambda p: finished(dict(p))) if not deleting(p)]
        ended.sort(key=lambda p: p["metadata"]["creationTimestamp"])
        for pod in ended[: max(0, len(ended) - FINISHED_PODS)]:
            _delete(PODS, pod, store)
    return INTERVAL


def _delete(resource: Resource, obj: Object, store: Store) -> None:
    try:
        store.delete(resource, obj["metadata"]["namespace"], obj["metadata"]["name"], uid=obj["metadata"]["uid"])
    except ApiError as error:
        if error.code not in (404, 409):
            raise


CONTROLLERS = [Controller("events' age", EVENTS, expire), Controller("retention", NAMESPACES, trim)]
