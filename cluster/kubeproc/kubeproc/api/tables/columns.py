"""The columns of each kind in `kubectl get`, and one object's cells: the registry behind `tables`.

An entry is (columns, cells): `cells(object)` returns one value for each column. To show a new kind, add an entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kubeproc import timestamps
from kubeproc.api.tables import pod_cells
from kubeproc.api.tables.ages import age, human

Object = Mapping[str, Any]
Cells = list[Any]
NONE, UNSET = "<none>", "<unset>"


@dataclass(frozen=True)
class Column:
    name: str
    type: str = "string"
    priority: int = 0  # 1: shown only by -o wide
    format: str = ""
    description: str = ""


def _columns(*names: str, wide: Iterable[str] = (), integers: Iterable[str] = ()) -> list[Column]:
    """Columns in the order of the cells: the `names` always shown first, then the `wide` ones."""
    numbers = set(integers)
    shown = [Column(n, "integer" if n in numbers else "string", 0, "name" if n == "Name" else "") for n in names]
    return shown + [Column(n, priority=1) for n in wide]


def _spec(obj: Object) -> Any:
    return obj.get("spec") or {}


def _status(obj: Object) -> Any:
    return obj.get("status") or {}


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _age(obj: Object) -> str:
    return age(obj["metadata"].get("creationTimestamp"))


def _containers(template: Object) -> tuple[str, str]:
    found = _spec(template).get("containers") or []
    return ",".join(c["name"] for c in found), ",".join(c.get("image", "") for c in found)


def _labels(labels: Mapping[str, str] | None) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted((labels or {}).items())) or NONE


def _selector(selector: Object | None) -> str:
    """A LabelSelector as a label query, sorted by key; empty if it selects everything."""
    words = {"In": "{} in ({})", "NotIn": "{} notin ({})", "Exists": "{}", "DoesNotExist": "!{}"}
    needs = [(k, f"{k}={v}") for k, v in ((selector or {}).get("matchLabels") or {}).items()]
    for need in (selector or {}).get("matchExpressions") or []:
        text = words[need["operator"]].format(need["key"], ",".join(sorted(need.get("values") or [])))
        needs.append((need["key"], text))
    return ",".join(text for _, text in sorted(needs))


def _more(found: list[str], otherwise: str, limit: int = 3) -> str:
    if len(found) > limit:
        return f"{','.join(found[:limit])} + {len(found) - limit} more..."
    return ",".join(found) or otherwise


# -- workloads -------------------------------------------------------------------------------------------------------


def _deployment(obj: Object) -> Cells:
    spec, status = _spec(obj), _status(obj)
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 1)}"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    template = _containers(spec.get("template") or {})
    return [_name(obj), ready, updated, available, _age(obj), *template, _selector(spec.get("selector"))]


def _replicaset(obj: Object) -> Cells:
    spec, status = _spec(obj), _status(obj)
    counts = [spec.get("replicas", 1), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [_name(obj), *counts, _age(obj), *_containers(spec.get("template") or {}),
            _selector(spec.get("selector")) or NONE]  # fmt: skip


JOB_CONDITIONS = ("Complete", "Failed", "", "Suspended", "FailureTarget", "SuccessCriteriaMet")  # "": being deleted


def _job(obj: Object) -> Cells:
    spec, status = _spec(obj), _status(obj)
    holds = {c["type"] for c in status.get("conditions") or [] if c.get("status") == "True"}
    if obj["metadata"].get("deletionTimestamp"):
        holds.add("")
    word = next((c for c in JOB_CONDITIONS if c in holds), "Running") or "Terminating"
    succeeded, parallelism = status.get("succeeded", 0), spec.get("parallelism") or 0
    if spec.get("completions") is not None:
        completions = f"{succeeded}/{spec['completions']}"
    else:
        completions = f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"
    duration = ""
    if status.get("startTime") and status.get("completionTime"):
        duration = human(timestamps.seconds(status["completionTime"]) - timestamps.seconds(status["startTime"]))
    elif status.get("startTime"):
        duration = age(status["startTime"])
    return [_name(obj), word, completions, duration, _age(obj), *_containers(spec.get("template") or {}),
            _selector(spec.get("selector")) or NONE]  # fmt: skip


# -- networking ------------------------------------------------------------------------------------------------------


def _service(obj: Object) -> Cells:
    spec = _spec(obj)
    ports = [
        f"{p['port']}{':' + str(p['nodePort']) if p.get('nodePort') else ''}/{p.get('protocol', 'TCP')}"
        for p in spec.get("ports") or []
    ]
    kind = spec.get("type", "ClusterIP")
    outside = ",".join(spec.get("externalIPs") or [])
    if kind == "ExternalName":
        outside = spec.get("externalName", "")
    elif kind == "LoadBalancer":
        ingress = (_status(obj).get("loadBalancer") or {}).get("ingress") or []
        found = sorted({i.get("ip") or i.get("hostname", "") for i in ingress}) + (spec.get("externalIPs") or [])
        outside = ",".join(found) or "<pending>"
    inside = (spec.get("clusterIPs") or [spec.get("clusterIP")])[0] or NONE
    return [_name(obj), kind, inside, outside or NONE, ",".join(ports) or NONE, _age(obj),
            _labels(spec.get("selector"))]  # fmt: skip


def _endpoints(obj: Object) -> Cells:
    found: list[str] = []
    for subset in obj.get("subsets") or []:
        addresses = [a["ip"] for a in subset.get("addresses") or []]
        ports = [p["port"] for p in subset.get("ports") or []]
        found += [f"{ip}:{port}" for port in ports for ip in addresses] if ports else addresses
    return [_name(obj), _more(found, "" if obj.get("subsets") else NONE), _age(obj)]


def _endpointslice(obj: Object) -> Cells:
    ports = [str(p.get("port") or p.get("name") or "*") for p in obj.get("ports") or []]
    addresses = [a for e in obj.get("endpoints") or [] for a in e.get("addresses") or []]
    return [_name(obj), obj.get("addressType", ""), _more(ports, UNSET), _more(addresses, UNSET), _age(obj)]


# -- the cluster and its configuration -------------------------------------------------------------------------------


def _node(obj: Object) -> Cells:
    status = _status(obj)
    ready = next((c.get("status") for c in status.get("conditions") or [] if c["type"] == "Ready"), None)
    word = "Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"
    if _spec(obj).get("unschedulable"):
        word += ",SchedulingDisabled"
    labels, prefix = obj["metadata"].get("labels") or {}, "node-role.kubernetes.io/"
    roles = {k.removeprefix(prefix) for k in labels if k.startswith(prefix) and k != prefix}
    roles |= {v for k, v in labels.items() if k == "kubernetes.io/role" and v}
    addresses = {a["type"]: a["address"] for a in reversed(status.get("addresses") or [])}
    info = status.get("nodeInfo") or {}
    about = [info.get(k) or "<unknown>" for k in ("osImage", "kernelVersion", "containerRuntimeVersion")]
    return [_name(obj), word, ",".join(sorted(roles)) or NONE, _age(obj), info.get("kubeletVersion", ""),
            addresses.get("InternalIP", NONE), addresses.get("ExternalIP", NONE), *about]  # fmt: skip


def _event(obj: Object) -> Cells:
    first = age(obj.get("firstTimestamp") or obj.get("eventTime"))
    last = age(obj["lastTimestamp"]) if obj.get("lastTimestamp") else first
    count, series = obj.get("count") or 1, obj.get("series")
    if series:
        last, count = age(series.get("lastObservedTime")), series.get("count", 1)
    involved, source = obj.get("involvedObject") or {}, obj.get("source") or {}
    kind = involved.get("kind", "").lower()
    target = f"{kind}/{involved['name']}" if involved.get("name") else kind
    component = source.get("component") or obj.get("reportingComponent") or ""
    host = source.get("host") or obj.get("reportingInstance") or ""
    wide = [involved.get("fieldPath", ""), f"{component}, {host}" if host else component]
    message = (obj.get("message") or "").strip()
    return [last, obj.get("type", ""), obj.get("reason", ""), target, *wide, message, first, str(count), _name(obj)]


def _claim(obj: Object) -> Cells:
    spec, status = _spec(obj), _status(obj)
    phase = "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", "")
    modes = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    bound = bool(spec.get("volumeName"))
    capacity = (status.get("capacity") or {}).get("storage", "0") if bound else ""
    have = (status.get("accessModes") or []) if bound else []
    access = ",".join(short for mode, short in modes.items() if mode in have)
    old_class = (obj["metadata"].get("annotations") or {}).get("volume.beta.kubernetes.io/storage-class", "")
    storage_class = old_class or spec.get("storageClassName", "")
    return [_name(obj), phase, spec.get("volumeName", ""), capacity, access, storage_class,
            spec.get("volumeAttributesClassName") or UNSET, _age(obj), spec.get("volumeMode") or UNSET]  # fmt: skip


def _storageclass(obj: Object) -> Cells:
    default = (obj["metadata"].get("annotations") or {}).get("storageclass.kubernetes.io/is-default-class") == "true"
    return [_name(obj) + (" (default)" if default else ""), obj.get("provisioner", ""),
            obj.get("reclaimPolicy", "Delete"), obj.get("volumeBindingMode", "Immediate"),
            bool(obj.get("allowVolumeExpansion")), _age(obj)]  # fmt: skip


def _binding(obj: Object) -> Cells:
    ref, subjects = obj.get("roleRef") or {}, obj.get("subjects") or []
    named: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for s in subjects:
        whole = f"{s.get('namespace', '')}/{s['name']}" if s["kind"] == "ServiceAccount" else s["name"]
        named.setdefault(s["kind"], []).append(whole)
    role = f"{ref.get('kind', '')}/{ref.get('name', '')}"
    return [_name(obj), role, _age(obj), *(", ".join(named[k]) for k in ("User", "Group", "ServiceAccount"))]


# -- custom resources ------------------------------------------------------------------------------------------------


def _tfjob(obj: Object) -> Cells:
    conditions = _status(obj).get("conditions") or []
    return [_name(obj), conditions[-1].get("type") if conditions else None, _age(obj)]


def _workflow(obj: Object) -> Cells:
    status = _status(obj)
    started = status.get("startedAt")
    return [_name(obj), status.get("phase"), age(started) if started else None, status.get("message")]


TEMPLATE = ("Containers", "Images", "Selector")
_bindings = _columns("Name", "Role", "Age", wide=("Users", "Groups", "ServiceAccounts"))
_events = [
    Column(n, priority=int(n in ("Subobject", "Source", "First Seen", "Count", "Name")), format="name" * (n == "Name"))
    for n in ("Last Seen", "Type", "Reason", "Object", "Subobject", "Source", "Message", "First Seen", "Count", "Name")
]
CUSTOM = (
    [Column("Name", format="name"), Column("Age", "date")],
    lambda o: [_name(o), _age(o)],
)
BUILT_IN = (
    [Column("Name", format="name"), Column("Created At", "date")],
    lambda o: [_name(o), o["metadata"].get("creationTimestamp")],
)

COLUMNS: dict[str, tuple[list[Column], Callable[[Object], Cells]]] = {
    "pods": (
        _columns("Name", "Ready", "Status", "Restarts", "Age",
                 wide=("IP", "Node", "Nominated Node", "Readiness Gates")),
        pod_cells.cells,
    ),
    "deployments.apps": (_columns("Name", "Ready", "Up-to-date", "Available", "Age", wide=TEMPLATE), _deployment),
    "replicasets.apps": (
        _columns("Name", "Desired", "Current", "Ready", "Age", wide=TEMPLATE, integers=("Desired", "Current", "Ready")),
        _replicaset,
    ),
    "jobs.batch": (_columns("Name", "Status", "Completions", "Duration", "Age", wide=TEMPLATE), _job),
    "services": (
        _columns("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", wide=("Selector",)),
        _service,
    ),
    "endpoints": (_columns("Name", "Endpoints", "Age"), _endpoints),
    "endpointslices.discovery.k8s.io": (_columns("Name", "AddressType", "Ports", "Endpoints", "Age"), _endpointslice),
    "nodes": (
        _columns("Name", "Status", "Roles", "Age", "Version",
                 wide=("Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime")),
        _node,
    ),
    "namespaces": (_columns("Name", "Status", "Age"), lambda o: [_name(o), _status(o).get("phase", ""), _age(o)]),
    "events": (_events, _event),
    "configmaps": (
        _columns("Name", "Data", "Age"),
        lambda o: [_name(o), len(o.get("data") or {}) + len(o.get("binaryData") or {}), _age(o)],
    ),
    "secrets": (
        _columns("Name", "Type", "Data", "Age"),
        lambda o: [_name(o), o.get("type", ""), len(o.get("data") or {}), _age(o)],
    ),
    "serviceaccounts": (
        _columns("Name", "Secrets", "Age"),
        lambda o: [_name(o), len(o.get("secrets") or []), _age(o)],
    ),
    "persistentvolumeclaims": (
        _columns("Name", "Status", "Volume", "Capacity", "Access Modes", "StorageClass", "VolumeAttributesClass", "Age",
                 wide=("VolumeMode",)),
        _claim,
    ),
    "storageclasses.storage.k8s.io": (
        _columns("Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"),
        _storageclass,
    ),
    "rolebindings.rbac.authorization.k8s.io": (_bindings, _binding),
    "clusterrolebindings.rbac.authorization.k8s.io": (_bindings, _binding),
    "leases.coordination.k8s.io": (
        _columns("Name", "Holder", "Age"),
        lambda o: [_name(o), _spec(o).get("holderIdentity") or "", _age(o)],
    ),
    "tfjobs.kubeflow.org": (
        [Column("Name", format="name"), Column("State"), Column("Age", "date")],
        _tfjob,
    ),
    "workflows.argoproj.io": (
        [Column("Name", format="name"), Column("Status"), Column("Age", "date"), Column("Message")],
        _workflow,
    ),
}  # fmt: skip
