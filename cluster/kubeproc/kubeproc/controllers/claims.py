"""PersistentVolumeClaims: bound at once, since each is only a folder, and protected while an unfinished pod uses them.
With several nodes the class has WaitForFirstConsumer: a claim belongs to the node of its first pod, which the scheduler
chooses.

The kubelet creates the folder when a pod first mounts the claim, and it is deleted with the claim. It is renamed first,
so that a new claim of the same name starts empty, and deleted by a thread, since that can take long.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

from kubeproc.admission.claim import PROTECTION
from kubeproc.controllers import events
from kubeproc.controllers.loop import Controller
from kubeproc.controllers.owners import deleting
from kubeproc.controllers.pod_making import finished
from kubeproc.resources import CLAIMS, PODS, STORAGECLASSES
from kubeproc.store import Event, Key, Object, Store

COMPONENT = "persistentvolume-controller"
SELECTED = "volume.kubernetes.io/selected-node"
DELETED = ".deleted"  # no namespace has such a name


def controller(volumes: Path | None) -> Controller:
    """`volumes` has the claims' folders, NAMESPACE/CLAIM; None if the cluster has no folder."""
    if volumes is not None:
        for left in (volumes / DELETED).glob("*"):
            _remove(left)

    def reconcile_in_folder(claim: Object, store: Store) -> float | None:
        return reconcile(claim, store, volumes)

    return Controller("claims", CLAIMS, reconcile_in_folder, finds={PODS: _of_pod, STORAGECLASSES: _of_class})


def reconcile(claim: Object, store: Store, volumes: Path | None) -> float | None:
    meta, spec = claim["metadata"], claim["spec"]
    if deleting(claim):
        if PROTECTION in (meta.get("finalizers") or ()) and not _users(meta["namespace"], meta["name"], store):
            if volumes is not None:
                _dispose(volumes, meta)
            store.modify(CLAIMS, meta["namespace"], meta["name"], _unprotect)
        return None
    name = spec.get("storageClassName")
    if not name or store.find(STORAGECLASSES, "", name) is None:
        message = f'storageclass.storage.k8s.io "{name}" not found' if name else (
            "no persistent volumes available for this claim and no storage class is set")  # fmt: skip
        kind, reason = (events.WARNING, "ProvisioningFailed") if name else (events.NORMAL, "FailedBinding")
        events.record(store, claim, kind, reason, message, component=COMPONENT)
        return 15.0
    if not waits_for_pod(claim, store):
        store.modify(CLAIMS, meta["namespace"], meta["name"], _bind)
    elif (claim.get("status") or {}).get("phase") != "Bound":
        message = "waiting for first consumer to be created before binding"
        events.record(store, claim, events.NORMAL, "WaitForFirstConsumer", message, component=COMPONENT)
    return None


def waits_for_pod(claim: Object, store: Store) -> bool:
    """Whether the claim's class leaves the choice of its node to its first pod."""
    found = store.find(STORAGECLASSES, "", claim["spec"].get("storageClassName") or "")
    return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"


def node_of(claim: Object) -> str:
    """The node that the claim belongs to; empty if it has none."""
    return (claim["metadata"].get("annotations") or {}).get(SELECTED, "")


def hand_out(claim: Object, node: str, store: Store) -> None:
    """Bind the claim, which waited for its first consumer, to the node of that pod."""
    if (claim.get("status") or {}).get("phase") == "Bound":
        return

    def bind(fresh: Object) -> None:
        fresh["metadata"].setdefault("annotations", {})[SELECTED] = node
        _bind(fresh)

    store.modify(CLAIMS, claim["metadata"]["namespace"], claim["metadata"]["name"], bind)


def _bind(claim: Object) -> None:
    spec, status = claim["spec"], claim.setdefault("status", {})
    spec.setdefault("volumeName", f"pvc-{claim['metadata']['uid']}")
    status["phase"] = "Bound"
    status["accessModes"] = spec["accessModes"]
    status["capacity"] = {"storage": spec["resources"]["requests"]["storage"]}


def _dispose(volumes: Path, meta: Object) -> None:
    folder, aside = volumes / meta["namespace"] / meta["name"], volumes / DELETED / meta["uid"]
    if folder.exists():
        aside.parent.mkdir(parents=True, exist_ok=True)
        os.replace(folder, aside)
        _remove(aside)


def _remove(folder: Path) -> None:
    threading.Thread(target=shutil.rmtree, args=(folder, True), name="removes a claim's folder", daemon=True).start()


def _unprotect(claim: Object) -> None:
    claim["metadata"]["finalizers"] = [f for f in claim["metadata"]["finalizers"] if f != PROTECTION]


def names(pod: Object) -> list[str]:
    """The claims that the pod mounts."""
    volumes = pod["spec"].get("volumes") or ()
    return [v["persistentVolumeClaim"]["claimName"] for v in volumes if v.get("persistentVolumeClaim")]


def _users(namespace: str, name: str, store: Store) -> list[Object]:
    return store.list(PODS, namespace, lambda p: name in names(dict(p)) and not finished(dict(p)))


def _of_pod(event: Event, store: Store) -> Iterable[Key]:
    """The claims of a pod that has ended or is deleted."""
    if event.type == "DELETED" or finished(event.object):
        return [(event.key[0], name) for name in names(event.object)]
    return []


def _of_class(event: Event, store: Store) -> Iterable[Key]:
    waiting = store.list(CLAIMS, None, lambda c: (c.get("status") or {}).get("phase") != "Bound")
    return [(c["metadata"]["namespace"], c["metadata"]["name"]) for c in waiting]
