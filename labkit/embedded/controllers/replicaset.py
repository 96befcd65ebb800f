"""ReplicaSets: as many active pods as the spec says, and a status that counts ready and available ones.

Source: pkg/controller/replicaset and controller_utils.go of Kubernetes 1.34.
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.embedded import selectors
from labkit.embedded.controllers import conditions, pods, times
from labkit.embedded.controllers.loop import Controller
from labkit.embedded.controllers.owners import claim, controlled, controller_of, deleting
from labkit.embedded.resources import PODS, REPLICASETS
from labkit.embedded.status import ApiError
from labkit.embedded.store import Event, Key, Object, Store

COMPONENT = "replicaset-controller"
BURST = 500  # pods made or deleted in one go
COST = "controller.kubernetes.io/pod-deletion-cost"
FAILURE = "ReplicaFailure"


def reconcile(owner: Object, store: Store) -> float | None:
    if not owner["spec"].get("selector"):
        return None
    mine = [p for p in claim(owner, PODS, owner["spec"]["selector"], store, shared=True) if pods.active(p)]
    problem: ApiError | None = None
    if not deleting(owner):
        try:
            _adjust(owner, mine, store)
        except ApiError as error:
            problem = error
    counted = [p for p in controlled(owner, PODS, store, shared=True) if pods.active(p)]
    wait = _report(owner, counted, problem, store)
    if problem is not None and "NamespaceTerminating" not in str(problem.details):
        raise problem
    return wait


def _adjust(owner: Object, mine: list[Object], store: Store) -> None:
    missing = owner["spec"]["replicas"] - len(mine)
    template = owner["spec"]["template"]
    for _ in range(min(missing, BURST)):
        name = owner["metadata"]["name"]
        pods.create(store, owner, pods.from_template(template, owner, generateName=f"{name}-"), COMPONENT)
    if missing < 0:
        for pod in sorted(mine, key=_rank)[: min(-missing, BURST)]:
            pods.delete(store, owner, pod, COMPONENT)


def _rank(pod: Object) -> tuple[object, ...]:
    """Which pod goes first: not scheduled, then pending, not ready, cheap, ready for a short time, restarted often,
    young."""
    status, ready = pod.get("status") or {}, pods.ready(pod)
    since = (pods.condition(pod, "Ready") or {}).get("lastTransitionTime") if ready else None
    restarts = max((c.get("restartCount", 0) for c in status.get("containerStatuses") or ()), default=0)
    cost = (pod["metadata"].get("annotations") or {}).get(COST, "0")
    phases = {"Pending": 0, "Unknown": 1, "Running": 2}
    return (
        bool(pod["spec"].get("nodeName")),
        phases.get(pods.phase(pod), 1),
        ready,
        int(cost) if cost.lstrip("-").isdigit() else 0,
        -times.seconds(since) if since else 0.0,
        -restarts,
        -times.seconds(pod["metadata"]["creationTimestamp"]),
    )


def _report(owner: Object, mine: list[Object], problem: ApiError | None, store: Store) -> float | None:
    """Write the status; the seconds until the next pod becomes available."""
    spec, meta = owner["spec"], owner["metadata"]
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    full = selectors.from_spec({"matchLabels": labels})
    waits = [pods.available_in(p, spec.get("minReadySeconds") or 0) for p in mine]
    numbers: dict[str, int] = {
        "replicas": len(mine),
        "fullyLabeledReplicas": sum(full(p) for p in mine),
        "readyReplicas": sum(pods.ready(p) for p in mine),
        "availableReplicas": sum(w == 0 for w in waits),
    }

    def change(fresh: Object) -> None:
        old = fresh.get("status") or {}
        status: Object = {k: v for k, v in numbers.items() if v or k == "replicas"}
        status["observedGeneration"] = meta.get("generation", 0)
        kept = [c for c in old.get("conditions") or () if c["type"] != FAILURE or problem is not None]
        if kept:
            status["conditions"] = kept
        if problem is not None:
            conditions.put(status, FAILURE, True, "FailedCreate", problem.message)
        fresh["status"] = status

    store.modify(REPLICASETS, meta["namespace"], meta["name"], change)
    return times.soonest(*(w for w in waits if w))


def _of_orphan(event: Event, store: Store) -> Iterable[Key]:
    """The ReplicaSets that may adopt a pod without a controller."""
    if controller_of(event.object) is not None or event.type == "DELETED" or not event.object["metadata"].get("labels"):
        return []
    found = store.list(REPLICASETS, event.key[0], lambda r: selectors.from_spec(r["spec"]["selector"])(event.object))
    return [(r["metadata"]["namespace"], r["metadata"]["name"]) for r in found]


CONTROLLER = Controller("replicaset", REPLICASETS, reconcile, watches={PODS: None}, finds={PODS: _of_orphan})
