"""Namespaces: a default service account and the cluster's CA in each; on deletion all their objects are deleted
first."""

from __future__ import annotations

from pathlib import Path

from kubeproc.admission import serviceaccount
from kubeproc.api_errors import ApiError
from kubeproc.controllers import conditions
from kubeproc.controllers.loop import Controller
from kubeproc.controllers.owners import deleting
from kubeproc.resources import CONFIGMAPS, EVENTS, NAMESPACES, PODS, RESOURCES, SERVICEACCOUNTS, Resource
from kubeproc.store import Event, Key, Object, Store

CA_MAP = "kube-root-ca.crt"
_REMARK = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "\
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "\
    "clusters."  # fmt: skip


def controller(ca: Path | None) -> Controller:
    """`ca` is the file of the cluster's CA certificate; None for a store without a cluster."""

    def reconcile(namespace: Object, store: Store) -> float | None:
        if deleting(namespace):
            return empty(namespace, store)
        name = namespace["metadata"]["name"]
        serviceaccount.ensure_default(store, name)
        if ca is not None:
            _put_ca(name, ca.read_text(), store)
        return None

    watches = {r: _of_event for r in RESOURCES.values() if r.namespaced}
    return Controller("namespace", NAMESPACES, reconcile, watches=watches)  # type: ignore[arg-type]


def _of_event(event: Event) -> list[Key]:
    """The namespace of a deleted object, which may be terminating, or of a changed CA ConfigMap."""
    if event.type != "DELETED" and not (event.resource is CONFIGMAPS and event.key[1] == CA_MAP):
        return []
    return [("", event.key[0])]


def _put_ca(namespace: str, text: str, store: Store) -> None:
    found = store.find(CONFIGMAPS, namespace, CA_MAP)
    if found is None:
        meta = {"name": CA_MAP, "namespace": namespace, "annotations": {"kubernetes.io/description": _REMARK}}
        store.create(CONFIGMAPS, {"metadata": meta, "data": {"ca.crt": text}})
    elif found.get("data") != {"ca.crt": text}:
        store.update(CONFIGMAPS, found | {"data": {"ca.crt": text}})


def empty(namespace: Object, store: Store) -> float | None:
    """Delete what is in the namespace; when nothing is left, remove its finalizer. Pods get their grace period."""
    name = namespace["metadata"]["name"]
    order = sorted((r for r in RESOURCES.values() if r.namespaced), key=lambda r: (r is EVENTS, r is SERVICEACCOUNTS))
    for resource in order:
        for obj in store.list(resource, name):
            if not deleting(obj):
                _delete(resource, obj, store)
    left = {r.qualified: n for r in order if (n := store.count(r, name))}
    if not left:
        store.modify(NAMESPACES, "", name, _finalize)
        return None
    store.modify(NAMESPACES, "", name, lambda fresh: _report(fresh, left))
    return None


def _delete(resource: Resource, obj: Object, store: Store) -> None:
    meta = obj["metadata"]
    try:
        store.delete(resource, meta["namespace"], meta["name"], uid=meta["uid"])
    except ApiError as error:
        if error.code not in (404, 409):
            raise


def _finalize(namespace: Object) -> None:
    namespace["spec"]["finalizers"] = []


def _report(namespace: Object, left: dict[str, int]) -> None:
    status = namespace.setdefault("status", {})
    status["phase"] = "Terminating"
    counts = ", ".join(f"{name} has {n} resource instances" for name, n in sorted(left.items()))
    conditions.put(status, "NamespaceContentRemaining", True, "SomeResourcesRemain",
                   f"Some resources are remaining: {counts}")  # fmt: skip
    if PODS.qualified in left:
        conditions.put(status, "NamespaceFinalizersRemaining", False, "ContentHasNoFinalizers",
                       "All content-preserving finalizers finished")  # fmt: skip
