"""Admission: every write gets its defaults, then is validated, whichever client or controller makes it.

`admit` is what the store calls. Metadata is validated in the same way for all kinds; a kind with a module of its own
gets that module's `default` and `validate`. A status comes from controllers and the kubelet, and is not validated.
"""

from __future__ import annotations

from types import ModuleType

from kubeproc.admission import (
    claim,
    configmap,
    deployment,
    job,
    meta,
    namespace,
    node,
    pod,
    rbac,
    secret,
    service,
    serviceaccount,
    tfjob,
)
from kubeproc.api_errors import Unsupported, invalid
from kubeproc.resources import (
    CLAIMS,
    CONFIGMAPS,
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICASETS,
    SECRETS,
    SERVICEACCOUNTS,
    SERVICES,
    TFJOBS,
    Resource,
)
from kubeproc.store import Object, Store

MODULES: dict[str, ModuleType] = {
    CLAIMS.qualified: claim,
    CONFIGMAPS.qualified: configmap,
    DEPLOYMENTS.qualified: deployment,
    JOBS.qualified: job,
    NAMESPACES.qualified: namespace,
    NODES.qualified: node,
    PODS.qualified: pod,
    REPLICASETS.qualified: deployment,
    SECRETS.qualified: secret,
    SERVICEACCOUNTS.qualified: serviceaccount,
    SERVICES.qualified: service,
    TFJOBS.qualified: tfjob,
    **{resource.qualified: rbac for resource in rbac.RESOURCES},
}
REGISTERED = (NODES.qualified,)  # kinds whose creator also writes their status


def admit(store: Store, operation: str, resource: Resource, new: Object, old: Object | None) -> Object:
    """The object to store, or ApiError; `operation` is CREATE, UPDATE, STATUS or DELETE."""
    if operation == "STATUS":
        return new
    if operation == "DELETE":
        if resource is NAMESPACES:
            namespace.check_delete(new)
        return new
    if operation == "CREATE" and resource.status and resource.qualified not in REGISTERED:
        new.pop("status", None)
    meta.check(resource, new, old)
    module = MODULES.get(resource.qualified)
    if module is not None:
        try:
            module.default(store, new, old)
            module.validate(store, new, old)
        except Unsupported as refused:
            raise invalid(resource, new["metadata"].get("name", ""), [refused.cause]) from None
    return new
