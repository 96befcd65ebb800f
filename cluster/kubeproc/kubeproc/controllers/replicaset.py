"""ReplicaSets: as many active pods as the spec says, and a status that counts ready and available ones.

Source: pkg/controller/replicaset and controller_utils.go of Kubernetes 1.34.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from kubeproc import selectors
from kubeproc.api_errors import ApiError
from kubeproc.controllers import conditions, pod_making
from kubeproc.controllers.loop import Controller, soonest
from kubeproc.controllers.owners import claim, controlled, controller_of, deleting
from kubeproc.resources import PODS, REPLICASETS
from kubeproc.store import Event, Key, Object, Store

COMPONENT = "replicaset-controller"
BURST = 500  # pods created or deleted per reconcile
COST = "controller.kubernetes.io/pod-deletion-cost"
FAILURE = "ReplicaFailure"


def reconcile(owner: Object, store: Store) -> float | None:
    if not owner["spec"].get("selector"):
        return None
    mine = [p for p in claim(owner, PODS, owner["spec"]["selector"], store, shared=True) if pod_making.active(p)]
    problem: ApiError | None = None
    if not deleting(owner):
        try:
            _adjust(owner, mine, store)
        except ApiError as error:
            problem = error
    counted = [p for p in controlled(owner, PODS, store, shared=True) if pod_making.active(p)]
    wait = _report(owner, counted, problem, store)
    if problem is not None and "NamespaceTerminating" not in str(problem.details):
        raise problem
    return wait


def _adjust(owner: Object, mine: list[Object], store: Store) -> None:
    missing = owner["spec"]["replicas"] - len(mine)
    template = owner["spec"]["template"]
    for _ in range(min(missing, BURST)):
        name = owner["metadata"]["name"]
        pod_making.create(store, owner, pod_making.from_template(template, owner, generateName=f"{name}-"), COMPONENT)
    if missing < 0:
        for pod in sorted(mine, key=_removal_order(mine))[: min(-missing, BURST)]:
            pod_making.delete(store, owner, pod, COMPONENT)


def _removal_order(mine: list[Object]) -> Callable[[Object], tuple[object, ...]]:
    """As for other controllers, but among equally ready pods those with a lower deletion cost and those that share a
    node come first."""
    on_node = Counter(p["spec"].get("nodeName") for p in mine)

    def key(pod: Object) -> tuple[object, ...]:
        scheduled, phase, ready, *rest = pod_making.removal_order(pod)
        cost = (pod["metadata"].get("annotations") or {}).get(COST, "0")
        number = int(cost) if cost.lstrip("-").isdigit() else 0
        return (scheduled, phase, ready, number, -on_node[pod["spec"].get("nodeName")], *rest)

    return key


def _report(owner: Object, mine: list[Object], problem: ApiError | None, store: Store) -> float | None:
    """Write the status; the seconds until the next pod becomes available."""
    spec, meta = owner["spec"], owner["metadata"]
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    full = selectors.from_spec({"matchLabels": labels})
    waits = [pod_making.available_in(p, spec.get("minReadySeconds") or 0) for p in mine]
    numbers: dict[str, int] = {
        "replicas": len(mine),
        "fullyLabeledReplicas": sum(full(p) for p in mine),
        "readyReplicas": sum(pod_making.ready(p) for p in mine),
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
    return soonest(*(w for w in waits if w))


def _of_orphan(event: Event, store: Store) -> Iterable[Key]:
    """The ReplicaSets that may adopt a pod without a controller."""
    if controller_of(event.object) is not None or event.type == "DELETED" or not event.object["metadata"].get("labels"):
        return []
    found = store.list(REPLICASETS, event.key[0], lambda r: selectors.from_spec(r["spec"]["selector"])(event.object))
    return [(r["metadata"]["namespace"], r["metadata"]["name"]) for r in found]


CONTROLLER = Controller("replicaset", REPLICASETS, reconcile, watches={PODS: None}, finds={PODS: _of_orphan})
