"""What all kinds share: names, labels, annotations, owners, and finalizers of the metadata."""

from __future__ import annotations

from labkit.embedded.admission.causes import Causes, dns1035_errors, label_errors, qualified_errors, subdomain_errors
from labkit.embedded.resources import (
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    NAMESPACES,
    ROLEBINDINGS,
    ROLES,
    SERVICES,
    Resource,
)
from labkit.embedded.store import Object

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
    """422 with everything that is wrong with the metadata."""
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
    for name in meta.get("finalizers") or ():
        for words in qualified_errors(name):
            causes.invalid("metadata.finalizers", name, words)
    causes.settle(resource, meta["name"])


def _owners(causes: Causes, owners: list[Object]) -> None:
    for i, owner in enumerate(owners):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                causes.invalid(f"metadata.ownerReferences[{i}].{field}", owner.get(field, ""), "must not be empty")
    controllers = [o for o in owners if o.get("controller")]
    if len(controllers) > 1:
        words = "Only one reference can have Controller set to true. Found "
        names = " and ".join(f'"true" in references for {o["kind"]}/{o["name"]}' for o in controllers[:2])
        causes.invalid("metadata.ownerReferences", owners, words + names)
