"""The pods of a workflow: what Argo's controller would make of a container, script or resource template.

Mechanism. `main` keeps its command (the kubelet runs it as it is); `wait` reports the outputs afterwards, `init` stages
scripts and input artifacts before; both are the executor's and find the template in their environment. A pod is named
after its node, so making it twice finds the first.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from kubeproc import timestamps
from kubeproc.api_errors import ApiError
from kubeproc.argo.executor import repository
from kubeproc.argo.language import go_text, templating
from kubeproc.argo.templates import arguments, node_names
from kubeproc.argo.templates.spec import merge
from kubeproc.argo.workflow import retry_hosts
from kubeproc.argo.workflow.call import Call, timeout
from kubeproc.argo.workflow.operation import Object, Operation, OperationError
from kubeproc.resources import PODS

KINDS = ("container", "script", "resource")
SCRIPT = "/argo/staging/script"
_TRANSIENT = ("exceeded quota", "TooManyRequests", "InsufficientStorage", "NodeLost")


def run(op: Operation, call: Call, template: Object) -> None:
    """Make the node's pod, unless there is one."""
    node = op.tree.node(call.name)
    if node is None:
        op.turn.spend()
        node = op.tree.start(call.name, "Pod", call.holder, call.source.label, call.boundary, "Pending",
                        flag=call.flag, template=template)  # fmt: skip
    elif node["phase"] != "Pending":
        return
    if node["id"] in op.pods or op.pod_exists(node):
        return
    if not op.may_execute(call.on_exit):
        op.tree.mark(call.name, "Failed", f"workflow shutdown with strategy: {op.shutdown}")
        return
    limit = _deadline(op, call, node, template)
    if limit is not None and limit <= 0:
        return
    pod = _pod(op, call, node, template, limit)
    try:
        op.pods[node["id"]] = op.store.create(PODS, pod)
    except ApiError as error:
        if error.reason == "AlreadyExists":
            return
        if error.reason in _TRANSIENT or any(word in error.message for word in _TRANSIENT):
            op.tree.mark(call.name, "Pending", error.message)
            op.turn.wake_at(op.clock + 5)
            return
        raise OperationError(error.message) from None


def _deadline(op: Operation, call: Call, node: Object, template: Object) -> int | None:
    """The pod's activeDeadlineSeconds: the template's own, cut by the workflow's deadline, the template's timeout and
    the retries' maxDuration."""
    limits: list[int] = []
    own = template.get("activeDeadlineSeconds")
    if own is not None:
        try:
            limits.append(int(str(own)))
        except ValueError:
            raise OperationError(f"value '{own}' cannot be resolved to an int") from None
    if op.deadline is not None and not call.on_exit:
        limits.append(int(op.deadline - op.clock))
    until = timeout(template, node)
    if until is not None:
        left = int(until - op.clock)
        if left <= 1:
            raise OperationError(f"{call.name} exceeded its deadline")
        limits.append(left)
    if call.until is not None:
        limits.append(max(int(call.until - op.clock), 1))
    return min(limits) if limits else None


def _pod(op: Operation, call: Call, node: Object, template: Object, limit: int | None) -> Object:
    template = _with_archive(op, copy.copy(template))
    kind = next(k for k in KINDS if template.get(k) is not None)
    spec: Object = {"restartPolicy": "Never", **_placement(op, call, template), **_account(op, template)}
    if limit is not None:
        spec["activeDeadlineSeconds"] = limit
    main = _main(op, template, kind)
    containers = ([] if kind == "resource" else [_executor("wait")]) + [main]
    spec["containers"] = containers
    staged = kind == "script" or (template.get("inputs") or {}).get("artifacts")
    spec["initContainers"] = [_executor("init")] if staged else []
    spec["initContainers"] += [_mirrored(c, main) for c in template.get("initContainers") or ()]
    # Kubernetes' own sidecars end with the main containers, which Argo's executor has to see to by itself.
    spec["initContainers"] += [_mirrored(c, main) | {"restartPolicy": "Always"} for c in template.get("sidecars") or ()]
    _describe(op, call, node, template, spec)
    if not spec["initContainers"]:
        del spec["initContainers"]
    _add_volumes(op, template, spec)
    pod = {"metadata": _metadata(op, call, node, template), "spec": spec}
    pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] = "main"
    values = {**op.variables, "pod.name": pod["metadata"]["name"]}
    for parameter in (template.get("inputs") or {}).get("parameters") or ():
        values[f"inputs.parameters.{parameter['name']}"] = go_text.text(parameter.get("value", ""))
    try:
        pod = templating.replace(pod, values, unresolved=True)
        pod["spec"] = _patched(op, template, pod["spec"], values)
    except templating.TemplateError as error:
        raise OperationError(str(error)) from None
    retry_hosts.avoid(op, node, template, _around(op, call), pod["spec"])
    return pod


# -- containers ------------------------------------------------------------------------------------------------------


def _executor(name: str) -> Object:
    return {"name": name, "image": node_names.EXECUTOR_IMAGE, "command": ["argoexec", name], "env": []}


def _main(op: Operation, template: Object, kind: str) -> Object:
    if kind == "resource":
        return _executor("main") | {"command": ["argoexec", "resource", template["resource"].get("action", "")]}
    main = copy.deepcopy(template[kind])
    source = main.pop("source", None)
    main["name"] = "main"
    if source:
        main["args"] = [*(main.get("args") or ()), SCRIPT]
    return main


def _mirrored(container: Object, main: Object) -> Object:
    found = copy.deepcopy(container)
    if found.pop("mirrorVolumeMounts", None):
        found["volumeMounts"] = [*(found.get("volumeMounts") or ()), *(main.get("volumeMounts") or ())]
    return found


def _describe(op: Operation, call: Call, node: Object, template: Object, spec: Object) -> None:
    """Put what the executor has to know into the containers' environments."""
    shown = {k: v for k, v in template.items() if k not in ("inputs", "retryStrategy", "memoize", "synchronization")}
    artifacts = (template.get("inputs") or {}).get("artifacts")
    shown["inputs"] = {"artifacts": artifacts} if artifacts else {}
    asked = _result_is_asked_for(op, call)
    common = [
        {"name": "ARGO_NODE_ID", "value": node["id"]},
        {"name": "ARGO_INCLUDE_SCRIPT_OUTPUT", "value": "true" if asked else "false"},
        {"name": "ARGO_DEADLINE", "value": _stamp(op, call)},
    ]
    meta = op.workflow["metadata"]
    own = [
        {"name": "ARGO_POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
        {"name": "ARGO_POD_UID", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}}},
        {"name": "ARGO_WORKFLOW_NAME", "value": op.name},
        {"name": "ARGO_WORKFLOW_UID", "value": meta["uid"]},
    ]
    text = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    for container in [*spec["initContainers"], *spec["containers"]]:
        container["env"] = [*(container.get("env") or ()), {"name": "ARGO_CONTAINER_NAME", "value": container["name"]}]
        container["env"] += common
        if container.get("image") == node_names.EXECUTOR_IMAGE:
            container["env"] += [*own, {"name": "ARGO_TEMPLATE", "value": text}]


def _stamp(op: Operation, call: Call) -> str:
    moments = [m for m in (None if call.on_exit else op.deadline, call.until) if m is not None]
    return timestamps.stamp(min(moments)) if moments else "0001-01-01T00:00:00Z"


def _result_is_asked_for(op: Operation, call: Call) -> bool:
    """Whether the template the node is in refers to its `outputs.result`."""
    parent = op.running.get(call.boundary)
    if parent is None:
        return False
    word, name = ("tasks" if parent[0].get("dag") else "steps"), node_names.task_of(call.name)
    text = op.parent_text(call.boundary)
    return any(f"{word}{form}.outputs.result" in text for form in (f".{name}", f"['{name}']", f'[\\"{name}\\"]'))


# -- the rest of the pod ---------------------------------------------------------------------------------------------


def owner(op: Operation) -> Object:
    """The ownerReference that makes an object the workflow's."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "name": op.name,
        "uid": op.workflow["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _metadata(op: Operation, call: Call, node: Object, template: Object) -> Object:
    labels = {node_names.WORKFLOW_LABEL: op.name, node_names.COMPLETED_LABEL: "false"}
    annotations = {node_names.NODE_NAME: call.name, node_names.NODE_ID: node["id"]}
    if call.on_exit:
        labels[node_names.ON_EXIT_LABEL] = "true"
    gc = op.spec.get("podGC")
    if gc:
        annotations[node_names.POD_GC_STRATEGY] = f"{gc.get('strategy', '')}/{gc.get('deleteDelayDuration', '5s')}"
    for metadata in (op.spec.get("podMetadata"), template.get("metadata")):
        labels |= (metadata or {}).get("labels") or {}
        annotations |= (metadata or {}).get("annotations") or {}
    return {
        "name": op.pod_name(call.name, template.get("name", "")),
        "namespace": op.namespace,
        "labels": labels,
        "annotations": annotations,
        "ownerReferences": [owner(op)],
    }


def _placement(op: Operation, call: Call, template: Object) -> Object:
    """Where and how the pod is scheduled: the template's word, that of the template around it, the workflow's."""
    around = _around(op, call)
    found: Object = {}
    for field in ("nodeSelector", "affinity", "tolerations"):
        found[field] = template.get(field) or around.get(field) or op.spec.get(field)
    for field in ("schedulerName", "securityContext"):
        found[field] = template.get(field) or op.spec.get(field)
    found["priorityClassName"] = template.get("priorityClassName") or op.spec.get("podPriorityClassName")
    found["hostAliases"] = [*(op.spec.get("hostAliases") or ()), *(template.get("hostAliases") or ())]
    for field in ("hostNetwork", "dnsPolicy", "dnsConfig", "imagePullSecrets"):
        found[field] = op.spec.get(field)
    return {k: v for k, v in found.items() if v}


def _around(op: Operation, call: Call) -> Object:
    """The steps or dag template in which the call stands."""
    return op.running[call.boundary][0] if call.boundary in op.running else {}


def _account(op: Operation, template: Object) -> Object:
    found: Object = {}
    account = template.get("serviceAccountName") or op.spec.get("serviceAccountName")
    if account:
        found["serviceAccountName"] = account
    mounted = template.get("automountServiceAccountToken")
    if mounted is None:
        mounted = op.spec.get("automountServiceAccountToken")
    if mounted is False:
        executor = (template.get("executor") or op.spec.get("executor") or {}).get("serviceAccountName")
        if not executor:
            why = "executor.serviceAccountName must not be empty if automountServiceAccountToken is false"
            raise OperationError(why)
        found["automountServiceAccountToken"] = False
    return found


def _add_volumes(op: Operation, template: Object, spec: Object) -> None:
    """The volumes that the containers mount: the template's, the workflow's, those of claims made for it."""
    available = {v["name"]: v for v in op.status.get("persistentVolumeClaims") or ()}
    available |= {v["name"]: v for v in op.volumes}
    available |= {v["name"]: v for v in template.get("volumes") or ()}
    used: dict[str, Object] = {v["name"]: v for v in template.get("volumes") or ()}
    for container in [*spec.get("initContainers", ()), *spec["containers"]]:
        for mount in container.get("volumeMounts") or ():
            if mount["name"] not in available:
                raise OperationError(f"volume '{mount['name']}' not found in workflow spec")
            used[mount["name"]] = available[mount["name"]]
    if used:
        spec["volumes"] = list(used.values())


def _with_archive(op: Operation, template: Object) -> Object:
    """The template with the place its artifacts go to, where that is not the cluster's folder."""
    location = template.get("archiveLocation") or {}
    if any(location.get(kind) for kind in arguments.LOCATIONS):
        return template
    place = repository.location(op.status.get("artifactRepositoryRef"))
    logs = bool((place or {}).get("archiveLogs"))
    if not logs:
        logs = bool(location["archiveLogs"] if location.get("archiveLogs") is not None else op.spec.get("archiveLogs"))
    if place is None and not logs:
        return template
    template["archiveLocation"] = {**(place or {}), "archiveLogs": logs}
    return template


def _patched(op: Operation, template: Object, spec: Object, values: dict[str, str]) -> Object:
    """The pod's spec with the `podSpecPatch` of the workflow, then of the template."""
    for patch in (op.spec.get("podSpecPatch"), template.get("podSpecPatch")):
        if not patch:
            continue
        import yaml  # only where there is a patch

        text = templating.replace(patch, values, unresolved=True)
        try:
            change: Any = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise OperationError(f"Error applying PodSpecPatch: {error}") from None
        if not isinstance(change, dict):
            raise OperationError("Error applying PodSpecPatch: it is not an object")
        spec = merge(spec, change)
    return spec
