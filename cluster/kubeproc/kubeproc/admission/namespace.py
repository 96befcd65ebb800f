"""Namespaces: the label with the name, the finalizer `kubernetes` in the spec, the phase."""

from __future__ import annotations

from kubeproc.api_errors import forbidden
from kubeproc.resources import NAMESPACES
from kubeproc.store import Object, Store

IMMORTAL = ("default", "kube-system", "kube-public")
LABEL, FINALIZER = "kubernetes.io/metadata.name", "kubernetes"


def default(store: Store, namespace: Object, old: Object | None) -> None:
    meta = namespace["metadata"]
    meta["labels"] = {**(meta.get("labels") or {}), LABEL: meta["name"]}
    if old is None:
        namespace["spec"] = {"finalizers": [FINALIZER]}
        namespace["status"] = {"phase": "Active"}
    else:
        namespace["spec"] = old.get("spec", {})


def check_delete(namespace: Object) -> None:
    """The cluster's own namespaces can't be deleted."""
    name = namespace["metadata"]["name"]
    if name in IMMORTAL:
        raise forbidden(NAMESPACES, name, "this namespace may not be deleted")


def validate(store: Store, namespace: Object, old: Object | None) -> None:
    """The name, a DNS label, is checked with the metadata."""
