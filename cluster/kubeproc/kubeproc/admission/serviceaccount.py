"""Service accounts. Every namespace has `default`, created by its controller or by the first pod that needs it."""

from __future__ import annotations

from kubeproc.api_errors import ApiError
from kubeproc.resources import SERVICEACCOUNTS
from kubeproc.store import Object, Store


def default(store: Store, account: Object, old: Object | None) -> None:
    """No defaults: tokens are issued on demand, not stored."""


def validate(store: Store, account: Object, old: Object | None) -> None:
    """Only names are validated."""


def ensure_default(store: Store, namespace: str) -> Object | None:
    """The namespace's `default` account, created if missing; None if the namespace accepts no new objects."""
    found = store.find(SERVICEACCOUNTS, namespace, "default")
    if found is not None:
        return found
    try:
        return store.create(SERVICEACCOUNTS, {"metadata": {"name": "default", "namespace": namespace}})
    except ApiError:
        return None
