"""The kinds that the embedded cluster serves: one table for the store, the HTTP routes, discovery and OpenAPI.

A kind that is not in the table does not exist, as on a cluster without its CustomResourceDefinition. `status` says
whether the kind has a status subresource: a write to the object then leaves the status unchanged, and the reverse
(Argo's Workflow has none, as upstream).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Resource:
    """A kind and its address: `/api/v1/...` when `group` is empty, else `/apis/GROUP/VERSION/...`."""

    group: str
    version: str
    plural: str
    kind: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    status: bool = False
    subresources: tuple[str, ...] = ()  # besides status
    categories: tuple[str, ...] = ()
    custom: bool = False  # a CustomResourceDefinition upstream: no strategic merge, merge-patch instead

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`deployments.apps`, `pods`: its name in error messages, and its key everywhere."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        return self.kind.lower()

    def path(self, namespace: str = "", name: str = "") -> str:
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


ALL = ("all",)

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", ("ns",), False, True, ("finalize",))
NODES = Resource("", "v1", "nodes", "Node", ("no",), False, True)
PODS = Resource(
    "", "v1", "pods", "Pod", ("po",), True, True,
    ("log", "exec", "attach", "portforward", "eviction", "binding", "ephemeralcontainers"), ALL,
)  # fmt: skip
SERVICES = Resource("", "v1", "services", "Service", ("svc",), True, True, (), ALL)
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints", ("ep",))
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap", ("cm",))
SECRETS = Resource("", "v1", "secrets", "Secret")
EVENTS = Resource("", "v1", "events", "Event", ("ev",))
SERVICEACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", ("sa",), subresources=("token",))
CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", ("pvc",), True, True)
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", ("deploy",), True, True, ("scale",), ALL)
REPLICASETS = Resource("apps", "v1", "replicasets", "ReplicaSet", ("rs",), True, True, ("scale",), ALL)
JOBS = Resource("batch", "v1", "jobs", "Job", (), True, True, (), ALL)
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLEBINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
CLUSTERROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTERROLEBINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
ENDPOINTSLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
STORAGECLASSES = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", ("sc",), False)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
TFJOBS = Resource("kubeflow.org", "v1", "tfjobs", "TFJob", (), True, True, ("scale",), custom=True)
WORKFLOWS = Resource("argoproj.io", "v1alpha1", "workflows", "Workflow", ("wf",), custom=True)
WORKFLOWTEMPLATES = Resource(
    "argoproj.io", "v1alpha1", "workflowtemplates", "WorkflowTemplate", ("wftmpl",), custom=True
)
CLUSTERWORKFLOWTEMPLATES = Resource(
    "argoproj.io", "v1alpha1", "clusterworkflowtemplates", "ClusterWorkflowTemplate", ("clusterwftmpl", "cwft"), False,
    custom=True,
)  # fmt: skip
WORKFLOWTASKRESULTS = Resource("argoproj.io", "v1alpha1", "workflowtaskresults", "WorkflowTaskResult", custom=True)

RESOURCES: dict[str, Resource] = {r.qualified: r for r in list(globals().values()) if isinstance(r, Resource)}
_BY_KIND = {(r.api_version, r.kind): r for r in RESOURCES.values()}


def by_kind(api_version: str, kind: str) -> Resource | None:
    """The resource of `apiVersion` and `kind`, or None if this cluster does not serve that kind."""
    return _BY_KIND.get((api_version, kind))


def by_path(group: str, version: str, plural: str) -> Resource | None:
    """The resource at `/apis/GROUP/VERSION/PLURAL` (group empty for core), or None."""
    found = RESOURCES.get(f"{plural}.{group}" if group else plural)
    return found if found and found.version == version else None
