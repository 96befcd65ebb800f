"""The metadata of all kinds: names, labels, annotations, owners, and finalizers."""

from __future__ import annotations

from kubeproc.admission.causes import Causes, dns1035_errors, label_errors, qualified_errors, subdomain_errors
from kubeproc.resources import (
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    NAMESPACES,
    ROLEBINDINGS,
    ROLES,
    SERVICES,
    Resource,
)
from kubeproc.store import Object

STANDARD = ("kubernetes", "orphan", "foregroundDeletion")  # finalizers
ANNOTATIONS_LIMIT = 256 * 1024


def _path_segment_errors(name: str) -> list[str]:
    """Names of RBAC kinds may have colons."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{c}'" for c in "/%" if c in name]


NAMES = {
    NAMESPACES.qualified: label_errors,
    SERVICES.qualified: dns1035_errors,
    **{r.qualified: _path_segment_errors for r in (ROLES, ROLEBINDINGS, CLUSTERROLES, CLUSTERROLEBINDINGS)},
}


def check(resource: Resource, obj: Object, old: Object | None) -> None:
    """422 with all errors of the metadata."""
    causes, meta = Causes(), obj["metadata"]
    if old is None:
        for words in NAMES.get(resource.qualified, subdomain_errors)(meta["name"]):
            causes.invalid("metadata.name", meta["name"], words)
    causes.labels("metadata.labels", meta.get("labels"))
    size = 0
    for key, value in (meta.get("annotations") or {}).items():
        size += len(key) + len(value)
        for words in qualified_errors(key.lower()):
            causes.invalid("metadata.annotations", key, words)
    if size > ANNOTATIONS_LIMIT:
        causes.too_long("metadata.annotations", ANNOTATIONS_LIMIT)
    _owners(causes, meta.get("ownerReferences") or [])
    _finalizers(causes, resource, meta, old)
    causes.settle(resource, meta["name"])


def _finalizers(causes: Causes, resource: Resource, meta: Object, old: Object | None) -> None:
    names = meta.get("finalizers") or []
    for i, name in enumerate(names):
        for words in qualified_errors(name):
            causes.invalid("metadata.finalizers", name, words)
        if "/" not in name and name not in STANDARD and not resource.custom:
            words = "name is neither a standard finalizer name nor is it fully qualified"
            causes.invalid(f"metadata.finalizers[{i}]", name, words)
    if old is not None and old["metadata"].get("deletionTimestamp"):
        had = old["metadata"].get("finalizers") or ()
        if new := [name for name in names if name not in had]:
            listed = "[]string{" + ", ".join(f'"{name}"' for name in new) + "}"
            words = "no new finalizers can be added if the object is being deleted, found new finalizers "
            causes.forbidden("metadata.finalizers", words + listed)


def _owners(causes: Causes, owners: list[Object]) -> None:
    for owner in owners:
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                causes.invalid(f"metadata.ownerReferences.{field}", owner.get(field, ""), "must not be empty")
    controllers = [o for o in owners if o.get("controller")]
    if len(controllers) > 1:
        words = "Only one reference can have Controller set to true. Found "
        names = '"true" in references for ' + " and ".join(f"{o['kind']}/{o['name']}" for o in controllers[:2])
        causes.invalid("metadata.ownerReferences", owners, words + names)
