"""What a person does to a workflow: retry, resubmit, suspend, resume, stop, terminate, set.

Each is `act(store, workflow, body) -> workflow`: it checks, changes the store and gives the workflow as stored; Refused
with Argo's words where that cannot be done. `body` is the request of the Argo Server; `body["user"]`, where given, is who
asks, for the message of a resumed node; `body["creator"]` the same as a label's value, for a resubmitted workflow.
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable
from typing import Any

from kubeproc import timestamps
from kubeproc.api_errors import ApiError
from kubeproc.argo.language import go_text
from kubeproc.argo.templates import node_names
from kubeproc.argo.workflow import nodes_reset
from kubeproc.argo.workflow import suspend as suspension
from kubeproc.argo.workflow.nodes import failed
from kubeproc.argo.workflow.operation import OperationError
from kubeproc.argo.workflow.scope import add_global_parameter
from kubeproc.resources import PODS, WORKFLOWS
from kubeproc.store import Object, Store

_ENDED = ("Succeeded", "Failed", "Error")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


class Refused(Exception):
    """The action cannot be done; the message is Argo's."""


def _save(store: Store, workflow: Object, action: str) -> Object:
    if action:
        workflow["metadata"].setdefault("labels", {})[node_names.ACTION_LABEL] = action
    return store.replace(WORKFLOWS, workflow) or workflow


def _ended(workflow: Object) -> bool:
    return (workflow.get("status") or {}).get("phase") in _ENDED


# -- suspend, resume, set --------------------------------------------------------------------------------------------


def suspend(store: Store, workflow: Object, body: Object) -> Object:
    """Start nothing more until somebody resumes the workflow."""
    if (workflow["metadata"].get("labels") or {}).get(node_names.COMPLETED_LABEL) == "true":
        raise Refused("cannot suspend completed workflows")
    if workflow["spec"].get("suspend"):
        return workflow
    workflow["spec"]["suspend"] = True
    return _save(store, workflow, "Suspend")


def _is_waiting(node: Object) -> bool:
    return node["type"] == "Suspend" and node["phase"] == "Running"


def resume(store: Store, workflow: Object, body: Object) -> Object:
    """Go on: the workflow, and every suspended node or those that `nodeFieldSelector` selects."""
    message = f"Resumed by: {_user(body['user'])}" if body.get("user") else ""
    if body.get("nodeFieldSelector"):
        return _set_nodes(store, workflow, body["nodeFieldSelector"], "Succeeded", message, {}, "Resume")
    changed = bool(workflow["spec"].pop("suspend", None))
    for node in ((workflow.get("status") or {}).get("nodes") or {}).values():
        if not _is_waiting(node):
            continue
        try:
            suspension.use_defaults(node.get("outputs"))
        except OperationError as error:
            raise Refused(str(error)) from None
        earlier = node.get("message")
        words = f"{earlier}; {message}" if earlier else message
        node |= {"phase": "Succeeded", "finishedAt": timestamps.now()} | ({"message": words} if words else {})
        changed = True
    return _save(store, workflow, "Resume") if changed else workflow


def _user(user: Any) -> str:
    return user if isinstance(user, str) else f"map[{' '.join(f'{k}:{v}' for k, v in sorted(user.items()))}]"


def set_(store: Store, workflow: Object, body: Object) -> Object:
    """Give suspended nodes a phase, a message, or their supplied outputs."""
    if not body.get("nodeFieldSelector"):
        raise Refused("'set' currently only targets suspend nodes, use a node field selector to target them")
    given = body.get("outputParameters") or {}
    if isinstance(given, str):
        given = _outputs(given)
    return _set_nodes(
        store, workflow, body["nodeFieldSelector"], body.get("phase") or "", body.get("message") or "", given, ""
    )


def _outputs(text: str) -> dict[str, str]:
    import json

    try:
        found = json.loads(text)
    except ValueError as error:
        raise Refused(f"unable to parse output parameter set request: {error}") from None
    if not isinstance(found, dict):
        raise Refused("unable to parse output parameter set request: not an object")
    return {name: go_text.text(value) for name, value in found.items()}


def _set_nodes(
    store: Store, workflow: Object, selector: str, phase: str, message: str, outputs: dict[str, str], action: str
) -> Object:
    chosen = field_selector(selector)
    changed = False
    for node in ((workflow.get("status") or {}).get("nodes") or {}).values():
        if not _is_waiting(node) or not chosen(node):
            continue
        changed = changed or bool(phase or message)
        if phase:
            node["phase"] = phase
            if phase in (*_ENDED, "Skipped", "Omitted"):
                node["finishedAt"] = timestamps.now()
        if message:
            node["message"] = message
        if outputs:
            _supply(workflow, node, outputs)
            changed = True
    if not changed:
        why = f"currently, set only targets suspend nodes: no suspend nodes matching nodeFieldSelector: {selector}"
        raise Refused(why)
    return _save(store, workflow, action)


def _supply(workflow: Object, node: Object, outputs: dict[str, str]) -> None:
    if not node.get("outputs"):
        raise Refused("cannot set output parameters because node is not expecting any raw parameters")
    parameters = {p["name"]: p for p in node["outputs"].get("parameters") or ()}
    for name, value in outputs.items():
        parameter = parameters.get(name)
        if parameter is None:
            raise Refused(f"node is not expecting output parameter '{name}'")
        if (parameter.get("valueFrom") or {}).get("supplied") is None:
            why = f"cannot set output parameter '{name}' because it does not use valueFrom.raw or it was already set"
            raise Refused(why)
        parameter["value"] = value
        del parameter["valueFrom"]
        if parameter.get("globalName"):
            add_global_parameter(workflow["status"], parameter)


def field_selector(text: str) -> Callable[[Object], bool]:
    """A predicate over nodes: `displayName=a,phase!=Failed,inputs.parameters.x.value=1`."""
    needs: list[tuple[str, bool, str]] = []
    for part in text.split(","):
        for sign in ("!=", "==", "="):
            field, found, value = part.partition(sign)
            if found:
                needs.append((field.strip(), sign != "!=", value.strip()))
                break
        else:
            raise Refused(f"invalid selector: '{text}'; can't understand '{part}'")

    def matches(node: Object) -> bool:
        reference = node.get("templateRef") or {}
        fields = {
            "displayName": node.get("displayName", ""),
            "templateName": node_names.template_of(node) or "",
            "phase": node.get("phase", ""),
            "name": node["name"],
            "id": node["id"],
            "templateRef.name": reference.get("name", ""),
            "templateRef.template": reference.get("template", ""),
        }
        for parameter in (node.get("inputs") or {}).get("parameters") or ():
            fields[f"inputs.parameters.{parameter['name']}.value"] = go_text.text(parameter.get("value", ""))
        return all((fields.get(field, "") == value) is equal for field, equal, value in needs)

    return matches


# -- stop and terminate ----------------------------------------------------------------------------------------------


def stop(store: Store, workflow: Object, body: Object) -> Object:
    """End the workflow, but run its exit handlers; or fail the suspended nodes that are selected."""
    if body.get("nodeFieldSelector"):
        selector, message = body["nodeFieldSelector"], body.get("message") or ""
        return _set_nodes(store, workflow, selector, "Failed", message, {}, "Stop")
    return _shut_down(store, workflow, "Stop")


def terminate(store: Store, workflow: Object, body: Object) -> Object:
    """End the workflow at once, exit handlers and all."""
    return _shut_down(store, workflow, "Terminate")


def _shut_down(store: Store, workflow: Object, strategy: str) -> Object:
    meta = workflow["metadata"]
    if _ended(workflow):
        why = f'cannot shutdown a completed workflow: workflow: "{meta["name"]}", namespace: "{meta["namespace"]}"'
        raise Refused(why)
    workflow["spec"]["shutdown"] = strategy
    return _save(store, workflow, strategy)


# -- retry and resubmit ----------------------------------------------------------------------------------------------


def override(workflow: Object, parameters: list[str] | None) -> None:
    """Give the workflow `NAME=VALUE` parameters."""
    if not parameters:
        return
    given = []
    for text in parameters:
        name, found, value = text.partition("=")
        if not found:
            raise Refused(f"expected parameter of the form: NAME=VALUE. Received: {text}")
        given.append({"name": name, "value": value})
    known = {p["name"] for p in given}
    spec = workflow["spec"]
    rest = [p for p in (spec.get("arguments") or {}).get("parameters") or () if p["name"] not in known]
    spec["arguments"] = {**(spec.get("arguments") or {}), "parameters": [*given, *rest]}
    stored = (workflow.get("status") or {}).get("storedWorkflowTemplateSpec")
    if stored is not None:
        stored["arguments"] = {**(stored.get("arguments") or {}), "parameters": [*given, *rest]}


def retry(store: Store, workflow: Object, body: Object) -> Object:
    """Run what failed again, and keep what succeeded but for the nodes that `nodeFieldSelector` selects together with
    `restartSuccessful`."""
    status: Object = workflow.get("status") or {}
    restart, selector = bool(body.get("restartSuccessful")), body.get("nodeFieldSelector") or ""
    phase = status.get("phase")
    if phase == "Succeeded" and not (restart and selector):
        raise Refused("To retry a succeeded workflow, set the options restartSuccessful and nodeFieldSelector")
    if phase not in _ENDED:
        raise Refused(f"Cannot retry a workflow in phase {phase or ''}")
    old = status.get("nodes") or {}
    chosen = field_selector(selector) if restart and selector else (lambda node: False)
    try:
        nodes, deleted = nodes_reset.reset(workflow["metadata"]["name"], old, chosen, time.time())
    except OperationError as error:
        raise Refused(str(error)) from None
    _reopen(workflow, nodes, deleted)
    override(workflow, body.get("parameters"))
    for node in deleted:
        pod = node_names.pod_name(workflow["metadata"]["name"], node["name"], node_names.template_of(node))
        try:
            store.delete(PODS, workflow["metadata"]["namespace"], pod, grace=0)
        except ApiError as error:
            if error.code != 404:
                raise
    return _save(store, workflow, "Retry")


def _reopen(workflow: Object, nodes: dict[str, Object], deleted: list[Object]) -> None:
    labels, status = workflow["metadata"].setdefault("labels", {}), workflow["status"]
    labels.pop(node_names.COMPLETED_LABEL, None)
    labels.pop(f"{node_names.GROUP}/workflow-archiving-status", None)
    labels[node_names.PHASE_LABEL] = "Running"
    status |= {"phase": "Running", "nodes": nodes, "startedAt": timestamps.now(), "finishedAt": None}
    for field in ("message", "persistentVolumeClaims"):
        status.pop(field, None)
    for condition in status.get("conditions") or ():
        if condition["type"] == "Completed":
            condition["status"] = "False"
    reported = status.get("taskResultsCompletionStatus") or {}
    for node in deleted:
        reported.pop(node["id"], None)
    workflow["spec"].pop("shutdown", None)
    if workflow["spec"].get("activeDeadlineSeconds") == 0:
        del workflow["spec"]["activeDeadlineSeconds"]
    (status.get("storedWorkflowTemplateSpec") or {}).pop("shutdown", None)


def resubmit(store: Store, workflow: Object, body: Object) -> Object:
    """Run the workflow once more under a new name; `memoized` keeps the outputs of what succeeded."""
    meta, memoized = workflow["metadata"], bool(body.get("memoized"))
    if memoized and (workflow.get("status") or {}).get("phase") not in ("Failed", "Error"):
        raise Refused("workflow must be Failed/Error to resubmit in memoized mode")
    prefix = meta.get("generateName") or f"{meta['name']}-"
    dropped = {node_names.PHASE_LABEL, node_names.COMPLETED_LABEL, f"{node_names.GROUP}/workflow-archiving-status"}
    dropped |= {f"{node_names.GROUP}/creator{suffix}" for suffix in ("", "-email", "-preferred-username")}
    dropped.add(node_names.ACTION_LABEL)
    labels = {k: v for k, v in (meta.get("labels") or {}).items() if k not in dropped}
    if body.get("creator"):
        labels[f"{node_names.GROUP}/creator"] = body["creator"]
    copied: Object = {
        "apiVersion": workflow["apiVersion"],
        "kind": workflow["kind"],
        "metadata": {
            "generateName": prefix,
            "namespace": meta["namespace"],
            "labels": labels | {node_names.RESUBMITTED_LABEL: meta["name"]},
            "annotations": dict(meta.get("annotations") or {}),
            "ownerReferences": meta.get("ownerReferences") or [],
        },
        "spec": copy.deepcopy(workflow["spec"]),
    }
    copied["spec"].setdefault("arguments", {})
    copied["spec"].pop("shutdown", None)
    if copied["spec"].get("activeDeadlineSeconds") == 0:
        del copied["spec"]["activeDeadlineSeconds"]
    override(copied, body.get("parameters"))
    if memoized:
        copied["metadata"]["name"] = prefix + "".join(random.choices(_LETTERS, k=5))
        copied["status"] = _remembered(workflow, copied["metadata"]["name"])
    return store.create(WORKFLOWS, {k: v for k, v in copied.items() if v})


def _remembered(workflow: Object, new: str) -> Object:
    """The status of a workflow called `new` that takes over what succeeded."""
    old: str = workflow["metadata"]["name"]
    nodes: dict[str, Object] = workflow["status"].get("nodes") or {}

    def renamed(name: str) -> str:
        return new + name.removeprefix(old)

    def ids(many: list[str] | None) -> list[str]:
        return [node_names.node_id(new, renamed(nodes[id]["name"])) for id in many or () if id in nodes]

    now = timestamps.now()
    found: dict[str, Object] = {}
    for node in nodes.values():
        if node["name"].startswith(f"{old}.onExit"):
            continue
        made = copy.deepcopy(node)
        made["name"] = renamed(node["name"])
        made["id"] = node_names.node_id(new, made["name"])
        made["displayName"] = made["name"] if node["displayName"] == node["name"] else node["displayName"]
        for field in ("children", "outboundNodes"):
            if node.get(field):
                made[field] = ids(node[field])
        if node.get("boundaryID"):
            made["boundaryID"] = (ids([node["boundaryID"]]) or [""])[0]
        made |= {"startedAt": now, "finishedAt": now}
        if node["type"] == "Pod" and not failed(node):
            made |= {"phase": "Skipped", "type": "Skipped", "message": f"original pod: {node['id']}"}
        elif node["type"] == "Skipped" and not nodes_reset.has_succeeded_below(nodes, node, set()):
            continue
        else:
            made["phase"] = "Pending" if node["type"] in ("Pod", "Suspend") else "Running"
            made.pop("message", None)
            made["finishedAt"] = None
        found[made["id"]] = made
    _drop_dangling(found)
    return {
        "nodes": found,
        "storedTemplates": workflow["status"].get("storedTemplates") or {},
        "conditions": [{"type": "Completed", "status": "False"}],
    }


def _drop_dangling(nodes: dict[str, Object]) -> None:
    for node in nodes.values():
        for field in ("children", "outboundNodes"):
            if node.get(field):
                node[field] = [id for id in node[field] if id in nodes]
