"""PersistentVolumeClaims: each is a folder of the cluster. The size is not enforced, as with many real storage
classes."""

from __future__ import annotations

from kubeproc import quantity
from kubeproc.admission.causes import Causes, refuse
from kubeproc.admission.pod_defaults import fill, quantities
from kubeproc.admission.refusals import refuse_spec
from kubeproc.resources import CLAIMS, STORAGECLASSES
from kubeproc.store import Object, Store

MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
CLASS, IS_DEFAULT = "standard", "storageclass.kubernetes.io/is-default-class"
PROTECTION = "kubernetes.io/pvc-protection"
_FREE = "is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


def standard_class(nodes: int = 1) -> Object:
    """The default StorageClass of every cluster. With several nodes, a claim belongs to one node."""
    return {
        "metadata": {"name": CLASS, "annotations": {IS_DEFAULT: "true"}},
        "provisioner": "labkit.dev/folder",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate" if nodes == 1 else "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
    }


def default(store: Store, claim: Object, old: Object | None) -> None:
    spec = claim.setdefault("spec", {})
    fill(spec, {"volumeMode": "Filesystem", "resources": {}})
    quantities({"limits": spec["resources"].get("limits"), "requests": spec["resources"].get("requests")}, CLAIMS.kind)
    if old is not None:
        fill(spec, {k: v for k, v in old["spec"].items() if k in ("storageClassName", "volumeName")})
        return
    if spec.get("storageClassName") is None:
        spec["storageClassName"] = default_class(store)
    claim["status"] = {"phase": "Pending"}
    meta = claim["metadata"]
    meta["finalizers"] = [*(f for f in meta.get("finalizers") or () if f != PROTECTION), PROTECTION]


def default_class(store: Store) -> str:
    """The name of the class that is annotated as default; `standard` if none is stored yet."""
    for found in store.list(STORAGECLASSES):
        if (found["metadata"].get("annotations") or {}).get(IS_DEFAULT) == "true":
            return found["metadata"]["name"]
    return CLASS


def validate(store: Store, claim: Object, old: Object | None) -> None:
    causes, spec = Causes(), claim["spec"]
    if not spec.get("accessModes"):
        causes.required("spec.accessModes", "at least 1 access mode is required")
    for mode in spec.get("accessModes") or ():
        causes.one_of("spec.accessModes", mode, MODES)
    size = (spec["resources"].get("requests") or {}).get("storage")
    if size is None:
        causes.required("spec.resources[storage]")
    elif quantity.parse(size) <= 0:
        causes.invalid("spec.resources[storage]", size, "must be greater than zero")
    causes.one_of("spec.volumeMode", spec["volumeMode"], ("Block", "Filesystem"))
    if old is not None:
        _check_update(causes, spec, old)
    causes.settle(CLAIMS, claim["metadata"]["name"])
    refuse_spec(spec, "PersistentVolumeClaimSpec")
    refuse("spec.volumeName", old is None and spec.get("volumeName"), "volumes that were created manually")


def _check_update(causes: Causes, spec: Object, old: Object) -> None:
    fixed = [{k: v for k, v in s.items() if k not in ("resources", "volumeName")} for s in (spec, old["spec"])]
    if fixed[0] != fixed[1] or old["spec"].get("volumeName", spec.get("volumeName")) != spec.get("volumeName"):
        causes.forbidden("spec", f"spec {_FREE}")
    new, before = (s["resources"].get("requests", {}).get("storage", "0") for s in (spec, old["spec"]))
    if quantity.parse(new) < quantity.parse(before):
        causes.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
