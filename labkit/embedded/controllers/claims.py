"""Claims: bound at once, since each is only a folder, and kept while an unfinished pod uses them."""

from __future__ import annotations

from collections.abc import Iterable

from labkit.embedded.admission.claim import PROTECTION
from labkit.embedded.controllers import events
from labkit.embedded.controllers.loop import Controller
from labkit.embedded.controllers.owners import deleting
from labkit.embedded.controllers.pods import finished
from labkit.embedded.resources import CLAIMS, PODS, STORAGECLASSES
from labkit.embedded.store import Event, Key, Object, Store

COMPONENT = "persistentvolume-controller"


def reconcile(claim: Object, store: Store) -> float | None:
    meta, spec = claim["metadata"], claim["spec"]
    if deleting(claim):
        if PROTECTION in (meta.get("finalizers") or ()) and not _users(meta["namespace"], meta["name"], store):
            store.modify(CLAIMS, meta["namespace"], meta["name"], _unprotect)
        return None
    name = spec.get("storageClassName")
    if not name or store.find(STORAGECLASSES, "", name) is None:
        message = f'storageclass.storage.k8s.io "{name}" not found' if name else (
            "no persistent volumes available for this claim and no storage class is set")  # fmt: skip
        kind, reason = (events.WARNING, "ProvisioningFailed") if name else (events.NORMAL, "FailedBinding")
        events.record(store, claim, kind, reason, message, component=COMPONENT)
        return 15.0
    store.modify(CLAIMS, meta["namespace"], meta["name"], _bind)
    return None


def _bind(claim: Object) -> None:
    spec, status = claim["spec"], claim.setdefault("status", {})
    spec.setdefault("volumeName", f"pvc-{claim['metadata']['uid']}")
    status["phase"] = "Bound"
    status["accessModes"] = spec["accessModes"]
    status["capacity"] = {"storage": spec["resources"]["requests"]["storage"]}


def _unprotect(claim: Object) -> None:
    claim["metadata"]["finalizers"] = [f for f in claim["metadata"]["finalizers"] if f != PROTECTION]


def names(pod: Object) -> list[str]:
    """The claims that the pod mounts."""
    volumes = pod["spec"].get("volumes") or ()
    return [v["persistentVolumeClaim"]["claimName"] for v in volumes if v.get("persistentVolumeClaim")]


def _users(namespace: str, name: str, store: Store) -> list[Object]:
    return store.list(PODS, namespace, lambda p: name in names(dict(p)) and not finished(dict(p)))


def _of_pod(event: Event, store: Store) -> Iterable[Key]:
    """The claims of a pod that has ended or gone."""
    if event.type == "DELETED" or finished(event.object):
        return [(event.key[0], name) for name in names(event.object)]
    return []


def _of_class(event: Event, store: Store) -> Iterable[Key]:
    waiting = store.list(CLAIMS, None, lambda c: (c.get("status") or {}).get("phase") != "Bound")
    return [(c["metadata"]["namespace"], c["metadata"]["name"]) for c in waiting]


CONTROLLER = Controller("claims", CLAIMS, reconcile, finds={PODS: _of_pod, STORAGECLASSES: _of_class})
