"""Service accounts. Every namespace has `default`, made by its controller or by the first pod that needs it."""

from __future__ import annotations

from labkit.embedded.resources import SERVICEACCOUNTS
from labkit.embedded.status import ApiError
from labkit.embedded.store import Object, Store


def default(store: Store, account: Object, old: Object | None) -> None:
    """Nothing is filled in: tokens are made on demand, not stored."""


def validate(store: Store, account: Object, old: Object | None) -> None:
    """Names are all there is to check."""


def ensure_default(store: Store, namespace: str) -> Object | None:
    """The namespace's `default` account, made if it is not there; None where the namespace takes no more objects."""
    found = store.find(SERVICEACCOUNTS, namespace, "default")
    if found is not None:
        return found
    try:
        return store.create(SERVICEACCOUNTS, {"metadata": {"name": "default", "namespace": namespace}})
    except ApiError:
        return None
