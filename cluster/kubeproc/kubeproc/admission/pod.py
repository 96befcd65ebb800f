"""Pods: defaults, the default plugins' additions (service account, tolerations, priority), host ports, and the fields
that an update can change.

Sources: pkg/registry/core/pod, pkg/apis/core/validation, plugin/pkg/admission/{serviceaccount,defaulttolerationseconds,
priority} of Kubernetes 1.34.
"""

from __future__ import annotations

from kubeproc import ports, qos
from kubeproc.admission import serviceaccount
from kubeproc.admission.causes import Causes
from kubeproc.admission.pod_checks import check_spec
from kubeproc.admission.pod_defaults import MODE, containers, default_spec, fill
from kubeproc.admission.refusals import refuse_spec
from kubeproc.api_errors import forbidden
from kubeproc.names import generated
from kubeproc.network import cluster_ips
from kubeproc.resources import PODS, SERVICEACCOUNTS
from kubeproc.store import Object, Store

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_MAY_CHANGE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
    "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
    "previously negative)"
)


def default(store: Store, pod: Object, old: Object | None) -> None:
    """Fill in missing fields; a new pod also gets its service account, tolerations, status and host ports."""
    spec = pod.setdefault("spec", {})
    default_spec(spec)
    fill(spec, {"enableServiceLinks": True})
    if old is not None:
        _keep(spec, old["spec"])
        return
    _account(store, pod, spec)
    _tolerations(spec)
    _priority(pod, spec)
    pod["status"] = {"phase": "Pending", "qosClass": qos.quality(spec)}
    if spec.get("schedulingGates"):
        pod["status"]["conditions"] = [
            {"type": "PodScheduled", "status": "False", "lastProbeTime": None, "lastTransitionTime": None,
             "reason": "SchedulingGated", "message": "Scheduling is blocked due to non-empty scheduling gates"}
        ]  # fmt: skip
    _host_ports(store, spec)


def _account(store: Store, pod: Object, spec: Object) -> None:
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    namespace = pod["metadata"]["namespace"]
    account = store.find(SERVICEACCOUNTS, namespace, name)
    if account is None and name == "default":
        account = serviceaccount.ensure_default(store, namespace)
    if account is None:
        why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden(PODS, pod["metadata"]["name"], why)
    if secrets := account.get("imagePullSecrets"):
        fill(spec, {"imagePullSecrets": secrets})
    if spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True)) is not False:
        _mount_token(spec)


def _mount_token(spec: Object) -> None:
    """The volume `kube-api-access-xxxxx` with token, CA and namespace, for each container without a mount at that
    path."""
    need = [c for c in containers(spec)
            if all(m.get("mountPath") != TOKEN_PATH for m in c.get("volumeMounts") or ())]  # fmt: skip
    if not need:
        return
    name = generated("kube-api-access-")
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
    ]
    volume = {"name": name, "projected": {"sources": sources, "defaultMode": MODE}}
    spec["volumes"] = [*(spec.get("volumes") or ()), volume]
    for container in need:
        mount = {"name": name, "readOnly": True, "mountPath": TOKEN_PATH}
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]


def _tolerations(spec: Object) -> None:
    have = list(spec.get("tolerations") or ())
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(t.get("key") in (key, None, "") and t.get("effect", "") in ("NoExecute", "") for t in have):
            have.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    spec["tolerations"] = have


def _priority(pod: Object, spec: Object) -> None:
    name = spec.get("priorityClassName")
    if name and name not in PRIORITIES:
        raise forbidden(PODS, pod["metadata"]["name"], f"no PriorityClass with name {name} was found")
    spec["priority"] = PRIORITIES.get(name or "", 0)
    fill(spec, {"preemptionPolicy": "PreemptLowerPriority"})


def _host_ports(store: Store, spec: Object) -> None:
    """Where pods share the host's network, each of their ports gets one of its own there."""
    if cluster_ips.enabled(store):
        return
    need = [p for c in containers(spec) for p in c.get("ports") or () if not p.get("hostPort")]
    for port, number in zip(need, ports.allocate(store, len(need)), strict=True):
        port["hostPort"] = number


def _keep(spec: Object, old: Object) -> None:
    """Keep fields that the server set if an update omits them."""
    names = ("serviceAccountName", "serviceAccount", "tolerations", "priority", "preemptionPolicy", "nodeName",
             "volumes", "imagePullSecrets")  # fmt: skip
    fill(spec, {k: old[k] for k in names if k in old})
    before = {c.get("name"): c for c in containers(old)}
    for container in containers(spec):
        was = before.get(container.get("name"), {})
        if "volumeMounts" not in container and "volumeMounts" in was:
            container["volumeMounts"] = was["volumeMounts"]
        for port, had in zip(container.get("ports") or (), was.get("ports") or (), strict=False):
            if port.get("containerPort") == had.get("containerPort") and had.get("hostPort"):
                fill(port, {"hostPort": had["hostPort"]})


def validate(store: Store, pod: Object, old: Object | None) -> None:
    causes, name = Causes(), pod["metadata"]["name"]
    if old is not None:
        _check_update(causes, pod["spec"], old["spec"])
        causes.settle(PODS, name)
        return
    check_spec(causes, pod["spec"], "spec")
    causes.settle(PODS, name)
    refuse_spec(pod["spec"])


def _check_update(causes: Causes, new: Object, old: Object) -> None:
    for kind in ("containers", "initContainers"):
        if len(new.get(kind) or ()) != len(old.get(kind) or ()):
            causes.forbidden(f"spec.{kind}", "pod updates may not add or remove containers")
            return
        for i, container in enumerate(new.get(kind) or ()):
            if not container.get("image"):
                causes.required(f"spec.{kind}[{i}].image")
    if (changed := _fixed(new)) != (stored := _fixed(old)):
        keys = sorted(k for k in {*changed, *stored} if changed.get(k) != stored.get(k))
        causes.forbidden("spec", f"pod updates may not change fields other than {_MAY_CHANGE}\n{', '.join(keys)}")
    tolerations = new.get("tolerations") or []
    if any(t not in tolerations for t in old.get("tolerations") or ()):
        causes.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")


def _fixed(spec: Object) -> Object:
    """A pod's spec without the fields that an update can change (the scheduler sets nodeName and removes gates)."""
    free = ("activeDeadlineSeconds", "tolerations", "schedulingGates", "containers", "initContainers")
    kept = {k: v for k, v in spec.items() if k not in free}
    for kind in ("containers", "initContainers"):
        kept[kind] = [{k: v for k, v in c.items() if k != "image"} for c in spec.get(kind) or ()]
    return kept
