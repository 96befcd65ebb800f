"""What has become of a workflow's pods, and their nodes with them.

Mechanism. `gather` finds the pods that are not done with (label `completed`), `assess` brings each one's node up to the
pod's phase and the reported outputs. A node succeeds only when the outputs its template promises have arrived. A pod
that ends because it is deleted has failed. One that is gone while its node runs (its machine failed, or it was deleted by
force) is made again: Argo 3.7 takes no node for finished whose `wait` container has not reported, deleted or not. A
resource template has no such container, and errs. Shutdown and the workflow's deadline end pods here as well, by the
pod's own deadline, so that its logs stay.
"""

from __future__ import annotations

import json
from typing import Any

from kubeproc.api_errors import ApiError
from kubeproc.argo.templates import node_names
from kubeproc.argo.templates.spec import SpecError, kind_of
from kubeproc.argo.workflow import memoize
from kubeproc.argo.workflow import scope as scopes
from kubeproc.argo.workflow.nodes import completed, failed, fulfilled
from kubeproc.argo.workflow.operation import Object, Operation, OperationError
from kubeproc.resources import PODS, WORKFLOWTASKRESULTS

_WITH_PROGRESS = ("Pod", "Suspend")
LATE, GONE = "Step exceeded its deadline", "pod deleted"


def gather(op: Operation) -> None:
    """Find the workflow's pods that it is not done with, by the ids of their nodes; they are the store's, to be read."""
    for pod in op.store.owned(op.workflow["metadata"]["uid"], PODS, shared=True):
        meta = pod["metadata"]
        labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
        if labels.get(node_names.WORKFLOW_LABEL) == op.name and labels.get(node_names.COMPLETED_LABEL) != "true":
            op.pods[annotations.get(node_names.NODE_ID) or op.tree.id(annotations.get(node_names.NODE_NAME, ""))] = pod


def read_results(op: Operation) -> None:
    """Take over what the executors have reported: outputs and progress."""
    done: Object = op.status.get("taskResultsCompletionStatus") or {}

    def news(result: Any) -> bool:
        meta = result["metadata"]
        return (meta.get("labels") or {}).get(node_names.WORKFLOW_LABEL) == op.name and done.get(
            meta["name"]
        ) is not True

    for result in op.store.list(WORKFLOWTASKRESULTS, op.namespace, news):
        id, label = result["metadata"]["name"], result["metadata"]["labels"].get(node_names.REPORTED_LABEL)
        node = op.tree.nodes.get(id)
        if node is None:
            continue
        if label in ("true", "false"):
            kept = op.status.setdefault("taskResultsCompletionStatus", {})
            if kept.get(id) is not (label == "true"):
                kept[id] = label == "true"
                op.changed = True
        outputs = result.get("outputs")
        if outputs:
            code = (node.get("outputs") or {}).get("exitCode")
            found = dict(outputs)
            if code is not None:
                found.setdefault("exitCode", code)
            op.tree.set(node, "outputs", found)
        if result.get("progress"):
            op.tree.set(node, "progress", result["progress"])


def assess(op: Operation) -> None:
    """Bring the nodes up to their pods."""
    running = False
    for id, pod in op.pods.items():
        node = op.tree.nodes.get(id)
        if node is None:
            continue
        if not fulfilled(node):
            _assess_pod(op, node, pod)
        running = running or node["phase"] == "Running"
        _control(op, node, pod)
    upsert_condition(op, {"type": "PodRunning", "status": "True" if running else "False"})
    for node in op.tree.nodes.values():
        if node["type"] == "Pod" and node["phase"] == "Running" and node["id"] not in op.pods:
            _vanished(op, node)
    _end_what_has_no_pod(op)


def _vanished(op: Operation, node: Object) -> None:
    """The pod is gone, and nobody can say how it ended."""
    final = op.shutdown or op.past_deadline or _is_resource(op, node)
    op.tree.mark(node["name"], "Error" if final else "Pending", GONE)


def _is_resource(op: Operation, node: Object) -> bool:
    try:
        return kind_of(op.templates.of_node(node)) == "resource"
    except SpecError:  # of an inline template a node does not say where it stands
        return False


def upsert_condition(op: Operation, condition: Object) -> None:
    conditions = op.status.setdefault("conditions", [])
    for i, known in enumerate(conditions):
        if known["type"] == condition["type"]:
            if known != condition:
                conditions[i] = condition
                op.changed = True
            return
    conditions.append(condition)
    op.changed = True


def _statuses(pod: Object, *kinds: str) -> list[Object]:
    status = pod.get("status") or {}
    return [c for kind in kinds or ("containerStatuses",) for c in status.get(kind) or ()]


def _ended(container: Object) -> Object | None:
    return (container.get("state") or {}).get("terminated")


def _assess_pod(op: Operation, node: Object, pod: Object) -> None:
    phase = (pod.get("status") or {}).get("phase") or "Pending"
    if phase == "Running" == node["phase"]:
        return
    message: str | None = None
    new = phase
    if phase == "Pending":
        message = _why_pending(pod)
    elif phase == "Failed":
        new, message = _why_failed(pod)
    elif phase not in ("Succeeded", "Running"):
        new, message = "Error", f"Unexpected pod phase for {pod['metadata']['name']}: {phase}"
    host = (pod.get("spec") or {}).get("nodeName")
    if host:
        op.tree.set(node, "hostNodeName", host)
    if not node.get("progress"):
        op.tree.set(node, "progress", "0/1")
    code = next((t["exitCode"] for c in _statuses(pod) if c["name"] == "main" and (t := _ended(c))), None)
    if code is not None:
        op.tree.set(node, "outputs", {**(node.get("outputs") or {}), "exitCode": str(code)})
    if new == "Succeeded" and not _outputs_have_arrived(op, node, pod):
        return
    if node["phase"] == "Pending" and new in ("Running", "Succeeded"):
        message = ""
    op.tree.mark(node["name"], new, message)
    if not fulfilled(node):
        return
    op.tree.set(node, "finishedAt", _finished_at(pod) or node["finishedAt"])
    scopes.publish(op, node.get("outputs"))
    if new == "Succeeded":
        try:
            memoize.save(op, node)
        except (OperationError, ApiError) as error:
            op.tree.mark(node["name"], "Error", str(error))


def template_of(pod: Object) -> Object:
    """The template that the executor was given."""
    for container in [*(pod["spec"].get("containers") or ()), *(pod["spec"].get("initContainers") or ())]:
        for variable in container.get("env") or ():
            if variable["name"] == "ARGO_TEMPLATE":
                found: Object = json.loads(variable["value"])
                return found
    return {}


def _outputs_have_arrived(op: Operation, node: Object, pod: Object) -> bool:
    if (op.status.get("taskResultsCompletionStatus") or {}).get(node["id"]) is False:
        return False
    wanted = template_of(pod).get("outputs") or {}
    found = node.get("outputs") or {}
    needed = [a for a in wanted.get("artifacts") or () if not a.get("optional")]
    return not ((wanted.get("parameters") and "parameters" not in found) or (needed and "artifacts" not in found))


def _why_pending(pod: Object) -> str:
    for container in _statuses(pod):
        waiting = (container.get("state") or {}).get("waiting")
        if waiting:
            return ": ".join(part for part in (waiting.get("reason", ""), waiting.get("message")) if part)
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("reason") == "Unschedulable":
            return ": ".join(part for part in ("Unschedulable", condition.get("message")) if part)
    return ""


def _why_failed(pod: Object) -> tuple[str, str]:
    """The node's phase and message for a failed pod."""
    status = pod.get("status") or {}
    if status.get("message"):
        return "Failed", status["message"]
    order = {"main": 1, "wait": 2}
    containers = _statuses(pod, "initContainerStatuses")
    containers += sorted(_statuses(pod), key=lambda c: order.get(c["name"], 3))
    if not containers:
        meta = pod["metadata"]
        return "Failed", f"can't find failed message for pod {meta['name']} namespace {meta['namespace']}"
    succeeded: set[str] = set()
    for container in containers:
        name = container["name"]
        waiting = (container.get("state") or {}).get("waiting")
        if waiting:
            why = f"{waiting.get('reason', '')}: {waiting.get('message', '')}"
            return "Error", f"Pod failed before {name} container starts due to {why}"
        ended = _ended(container)
        if not ended:
            continue
        if ended["exitCode"] == 0:
            succeeded.add(name)
            continue
        words = f"{name}: {ended.get('reason', '')} (exit code {ended['exitCode']})"
        if ended.get("message"):
            words += f": {ended['message']}"
        if name in ("init", "wait"):
            return "Error", words
        if name == "main" or ended["exitCode"] not in (137, 143):
            return "Failed", words
    if {"main", "wait"} <= succeeded:
        return "Succeeded", ""
    if "main" in succeeded:
        return "Failed", "pod failed: wait container did not complete successfully"
    if "wait" in succeeded:
        return "Failed", "pod failed: main container did not complete successfully"
    return "Failed", "pod failed: neither main nor wait container completed successfully"


def _finished_at(pod: Object) -> str:
    ended = [_ended(c) for c in _statuses(pod, "initContainerStatuses", "containerStatuses")]
    return max((t["finishedAt"] for t in ended if t and t.get("finishedAt")), default="")


# -- shutdown and deadline -------------------------------------------------------------------------------------------


def _control(op: Operation, node: Object, pod: Object) -> None:
    """End a pod that shutdown or the workflow's deadline forbids."""
    if fulfilled(node):
        return
    on_exit = node_names.ON_EXIT_LABEL in (pod["metadata"].get("labels") or {})
    why = ""
    if op.shutdown and not op.may_execute(on_exit):
        why = f"workflow shutdown with strategy:  {op.shutdown}"
    elif op.past_deadline and not on_exit:
        why = LATE
    if why:
        end_pod(op, pod)
        op.tree.mark(node["name"], "Failed", why)


def end_pod(op: Operation, pod: Object) -> None:
    """Have the kubelet end the pod: its deadline is now."""

    def now(current: Object) -> None:
        current["spec"]["activeDeadlineSeconds"] = 1

    meta = pod["metadata"]
    op.store.modify(PODS, meta["namespace"], meta["name"], now)


def _end_what_has_no_pod(op: Operation) -> None:
    for node in op.tree.nodes.values():
        if fulfilled(node):
            continue
        waits = node["type"] == "Suspend" and node["phase"] == "Running"
        if op.shutdown and waits and not op.may_execute(op.tree.in_exit_handler(node)):
            op.tree.mark(node["name"], "Failed", f"Stopped with strategy '{op.shutdown}'")
        elif op.past_deadline and (waits or node["phase"] == "Pending") and not op.tree.in_exit_handler(node):
            op.tree.mark(node["name"], "Failed", LATE)


# -- progress --------------------------------------------------------------------------------------------------------


def progress(op: Operation) -> None:
    """Bring `progress` up: `N/M` of a pod, and of a node with children the sum over the pods below it."""
    bits: dict[str, int] = {}
    pods = [node for node in op.tree.nodes.values() if node["type"] in _WITH_PROGRESS]
    done = [0] * len(pods)
    total = [1] * len(pods)
    for i, node in enumerate(pods):
        bits[node["id"]] = 1 << i
        current, _, whole = (node.get("progress") or "0/1").partition("/")
        total[i] = int(whole) if whole.isdigit() and int(whole) else 1
        done[i] = total[i] if node["phase"] in ("Succeeded", "Skipped", "Omitted") else int(current or 0)
        node["progress"] = f"{done[i]}/{total[i]}"
    plain = all(whole == 1 for whole in total)
    ended = sum(1 << i for i, count in enumerate(done) if count)

    def summed(mask: int) -> str:
        if plain:
            return f"{(mask & ended).bit_count()}/{mask.bit_count()}"
        chosen = [i for i in range(len(pods)) if mask >> i & 1]
        return f"{sum(done[i] for i in chosen)}/{sum(total[i] for i in chosen)}"

    reached = _reach(op.tree.nodes, bits)
    for id, node in op.tree.nodes.items():
        if node["type"] not in _WITH_PROGRESS and reached[id]:
            node["progress"] = summed(reached[id])
    op.status["progress"] = summed((1 << len(pods)) - 1) if pods else "0/0"


def _reach(nodes: dict[str, Object], bits: dict[str, int]) -> dict[str, int]:
    """For each node itself and the pods below it, as a set of bits. Most nodes stand after their parents, so that from the last
    to the first a node's children are known when it is its turn."""
    found: dict[str, int] = {}
    entered: set[str] = set()
    for root in reversed(nodes):
        stack = [root]
        while stack:
            id = stack[-1]
            kids = [kid for kid in nodes[id].get("children") or () if kid in nodes]
            unknown = [kid for kid in kids if kid not in found]
            if unknown and id not in entered:
                entered.add(id)
                stack += unknown
                continue
            stack.pop()
            mask = bits.get(id, 0)
            for kid in kids:
                mask |= found.get(kid, 0)
            found[id] = mask
    return found


__all__ = ["assess", "completed", "end_pod", "failed", "gather", "progress", "read_results", "upsert_condition"]
