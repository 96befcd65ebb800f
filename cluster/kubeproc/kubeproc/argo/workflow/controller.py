"""Workflows: one pass from what the store says to what can be done next.

Mechanism. Prepare (spec, variables, validation), take in what pods and executors report, walk the templates from the
entrypoint, then hooks and the exit handler, and write the workflow once if anything changed. What a pass did not get to
(a backoff, a deadline, a suspended node) it asks to be called again for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from kubeproc import timestamps
from kubeproc.api_errors import ApiError
from kubeproc.argo.executor import repository
from kubeproc.argo.executor.task import TaskError
from kubeproc.argo.language import templating
from kubeproc.argo.templates import field_types, node_names, spec
from kubeproc.argo.templates.spec import Source
from kubeproc.argo.validation import validate
from kubeproc.argo.workflow import cleanup, execute, global_variables, hooks, locks, pod_state, workflow_events
from kubeproc.argo.workflow.nodes import failed, fulfilled
from kubeproc.argo.workflow.operation import Object, Operation, OperationError, working_copy
from kubeproc.argo.workflow.turn import ParallelismReached
from kubeproc.controllers.loop import Controller
from kubeproc.resources import CLAIMS, CONFIGMAPS, PODS, WORKFLOWS, WORKFLOWTASKRESULTS
from kubeproc.store import Event, Key, Store

log = logging.getLogger(__name__)

_ENDED = ("Succeeded", "Failed", "Error")
_OF_NODE = {"Pending": "Pending", "Running": "Running", "Succeeded": "Succeeded", "Skipped": "Succeeded",
            "Omitted": "Succeeded", "Failed": "Failed", "Error": "Error"}  # fmt: skip
_UNREADABLE = "cannot unmarshall spec"  # as upstream spells it
_MALFORMED = (TypeError, AttributeError, KeyError, ValueError, IndexError, RecursionError)


class _Halt(Exception):
    """The pass ends here: the workflow's phase says why, or it has to wait."""


def reconcile(workflow: Object, store: Store) -> float | None:
    """Bring a workflow forward; the seconds after which it has to be looked at again, or None. `workflow` is the store's own
    and stays as it is."""
    op = Operation(working_copy(workflow), store, time.time(), execute.template)
    if (workflow["metadata"].get("labels") or {}).get(node_names.COMPLETED_LABEL) == "true":
        return _look_after(op)
    phases = {id: node.get("phase") for id, node in op.tree.nodes.items()}
    phase = op.status.get("phase")
    try:
        if not phase:
            field_types.fit(workflow.get("spec") or {}, field_types.SPEC, "spec")
        _operate(op)
    except _Halt:
        pass
    except field_types.WrongType as error:
        _end(op, "Failed", f"{_UNREADABLE}: {error.converted}")
    except OperationError as error:
        _end(op, "Error", str(error))
    except _MALFORMED as error:
        _give_up(op, error)
    _persist(op, phase, phases)
    return op.turn.again


def _give_up(op: Operation, error: Exception) -> None:
    """End a workflow that is not shaped as one (no webhook refuses it): an endless loop of errors would tell nobody."""
    log.exception("workflow %s/%s", op.namespace, op.name)
    op.spec = {}
    why = f"{type(error).__name__}: {error}"
    if op.status.get("phase"):
        _end(op, "Error", why)
    else:
        _end(op, "Failed", f"{_UNREADABLE}: {why}")


def _look_after(op: Operation) -> float | None:
    """A workflow that has ended: clear its pods away, and itself when its time has come."""
    op.spec = op.status.get("storedWorkflowTemplateSpec") or op.workflow.get("spec") or {}
    if str(op.status.get("message", "")).startswith(_UNREADABLE):
        return None
    pod_state.gather(op)
    cleanup.pods(op)
    cleanup.expired(op)
    return op.turn.again


def _persist(op: Operation, phase: str | None, phases: dict[str, str | None]) -> None:
    ended = op.status.get("phase") in _ENDED
    if ended:
        cleanup.claims(op)
        locks.release(op)
    if op.to_write:
        pod_state.progress(op)
        if op.templates is not None and op.templates.grown:
            op.status["storedTemplates"] = op.templates.stored
        op.store.replace(WORKFLOWS, op.workflow, keep=True)
        workflow_events.record(op, phase, phases)
    if ended:
        cleanup.results(op)
    cleanup.pods(op)
    if ended:
        cleanup.expired(op)


# -- the pass --------------------------------------------------------------------------------------------------------


def _operate(op: Operation) -> None:
    _prepare(op)
    _take_locks(op)
    if not op.status.get("phase"):
        _begin(op)
    else:
        _set_deadline(op)
        pod_state.gather(op)
        pod_state.assess(op)
        locks.release_ended(op)
    if op.spec.get("suspend"):
        raise _Halt
    _make_claims(op)
    source = op.templates.own
    node = _run_entrypoint(op, source)
    op.variables["workflow.status"] = _OF_NODE[node["phase"]]
    global_variables.set_failures(op)
    if not hooks.run_for_workflow(op, source) or not fulfilled(node):
        raise _Halt
    exit_node = _run_exit_handler(op, source)
    _conclude(op, node, exit_node)


def _prepare(op: Operation) -> None:
    """Spec, artifact repository, reported outputs, validation, variables."""
    try:
        op.spec = dict(spec.execution_spec(op.workflow, op.store))
    except spec.SpecError as error:
        _end(op, "Error", str(error))
        raise _Halt from None
    _find_repository(op)
    pod_state.read_results(op)
    if not op.status.get("phase"):
        try:
            validate.validate(op.workflow, op.store)
        except validate.Invalid as error:
            _end(op, "Failed", f"invalid spec: {error}")
            raise _Halt from None
    try:
        global_variables.set_all(op)
    except OperationError as error:
        why = str(error)
        _end(op, "Failed", why if "failed to set" in why else f"failed to set global parameters: {why}")
        raise _Halt from None
    _substitute(op)
    if not op.status.get("phase"):
        global_variables.label_workflow(op)
    global_variables.set_runtime(op)
    by_reference = bool(op.workflow["spec"].get("workflowTemplateRef"))
    own = spec.local("" if by_reference else op.name, op.spec)
    stored = op.status.get("storedTemplates") or {}
    op.templates = spec.Templates(op.store, op.namespace, own, stored, op.spec.get("templateDefaults") or {})
    op.volumes = op.spec.get("volumes") or []


def _find_repository(op: Operation) -> None:
    if op.status.get("artifactRepositoryRef"):
        return

    def find(name: str) -> Object | None:
        return op.store.find(CONFIGMAPS, op.namespace, name)

    try:
        found = repository.resolve(find, op.spec.get("artifactRepositoryRef"), op.namespace)
    except TaskError as error:
        _end(op, "Error", f"failed to resolve artifact repository: {error}")
        raise _Halt from None
    op.status["artifactRepositoryRef"] = found
    op.changed = True


def _substitute(op: Operation) -> None:
    """Put the global variables into all of the spec but its templates, which are substituted when they run."""
    templates = op.spec.pop("templates", None)
    try:
        op.spec = dict(templating.replace(op.spec, op.variables, unresolved=True))
    except templating.TemplateError as error:
        raise OperationError(str(error)) from None
    if templates is not None:
        op.spec["templates"] = templates


def _take_locks(op: Operation) -> None:
    if not op.spec.get("synchronization"):
        return
    try:
        why = locks.acquire(op, op.spec["synchronization"], f"{op.namespace}/{op.name}")
    except OperationError as error:
        _end(op, "Failed", f"Failed to acquire the synchronization lock. {error}")
        raise _Halt from None
    if why:
        _mark(op, op.status.get("phase") or "Pending", why)
        if op.shutdown == "Terminate" and not op.tree.nodes:
            _end(op, "Succeeded", "")
        raise _Halt
    if op.status.get("phase") == "Pending" and not op.tree.nodes:
        del op.status["phase"]


def _begin(op: Operation) -> None:
    _mark(op, "Running", "")
    op.workflow["metadata"].setdefault("annotations", {}).setdefault(node_names.POD_NAME_FORMAT, "v2")
    global_variables.set_runtime(op)
    _set_deadline(op)


def _set_deadline(op: Operation) -> None:
    seconds, start = op.spec.get("activeDeadlineSeconds"), timestamps.seconds_or_none(op.status.get("startedAt"))
    if seconds is None or start is None:
        return
    op.deadline = start + float(seconds)
    if not op.past_deadline:
        op.turn.wake_at(op.deadline + 0.01)


def _make_claims(op: Operation) -> None:
    """Make the claims of `volumeClaimTemplates`, once."""
    wanted = op.spec.get("volumeClaimTemplates") or []
    if len(wanted) == len(op.status.get("persistentVolumeClaims") or ()):
        return
    made = []
    for i, template in enumerate(wanted):
        meta = template.get("metadata") or {}
        if not meta.get("name"):
            raise OperationError(f"pvc create error: volumeClaimTemplates[{i}].metadata.name is required")
        name = f"{op.name}-{meta['name']}"
        owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": op.name,
                 "uid": op.workflow["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}  # fmt: skip
        labels = {**(meta.get("labels") or {}), node_names.WORKFLOW_LABEL: op.name}
        full = {**meta, "name": name, "namespace": op.namespace, "labels": labels, "ownerReferences": [owner]}
        try:
            op.store.create(CLAIMS, {"metadata": full, "spec": template.get("spec") or {}})
        except ApiError as error:
            found = op.store.find(CLAIMS, op.namespace, name)
            if error.reason != "AlreadyExists" or found is None:
                raise OperationError(f"pvc create error: {error.message}") from None
            owners = found["metadata"].get("ownerReferences") or ()
            if all(o["uid"] != op.workflow["metadata"]["uid"] for o in owners):
                why = f"pvc create error: {name} pvc already exists with different ownerreference"
                raise OperationError(why) from None
        made.append({"name": meta["name"], "persistentVolumeClaim": {"claimName": name}})
    op.status["persistentVolumeClaims"] = made
    op.changed = True


def _run_entrypoint(op: Operation, source: Source) -> Object:
    holder = {"template": op.spec.get("entrypoint") or ""}
    try:
        node = execute.template(op, op.name, holder, source, op.spec.get("arguments"))
    except ParallelismReached:
        node = op.tree.node(op.name)
        if node is None or not fulfilled(node):
            raise _Halt from None
    except OperationError as error:
        raise OperationError(f"error in entry template execution: {error}") from None
    if node is None:
        raise _Halt
    return node


def _run_exit_handler(op: Operation, source: Source) -> Object | None:
    """Run the exit handler and return its node; None if the workflow has no exit handler."""
    hook = hooks.workflow_exit(op)
    name = f"{op.name}.onExit"
    if hook is None or (op.tree.node(name) is None and not op.may_execute(True)):
        return None
    holder = {k: hook[k] for k in ("template", "templateRef") if hook.get(k)}
    try:
        node = execute.template(op, name, holder, source, hook.get("arguments"), flag={"hooked": True}, on_exit=True)
    except ParallelismReached:
        raise _Halt from None
    except OperationError as error:
        raise OperationError(f"error in exit template execution : {error}") from None
    if node is None or not fulfilled(node):
        raise _Halt
    return node


def _conclude(op: Operation, node: Object, exit_node: Object | None) -> None:
    phase = _OF_NODE[node["phase"]]
    message = node.get("message", "")
    if failed(node) and op.shutdown:
        message = f"Stopped with strategy '{op.shutdown}'"
    if phase == "Succeeded":
        message = ""
        if exit_node is not None and failed(exit_node):
            phase, message = exit_node["phase"], exit_node.get("message", "")
    _end(op, phase, message)


# -- the workflow's own phase ----------------------------------------------------------------------------------------


def _mark(op: Operation, phase: str, message: str) -> None:
    labels = op.workflow["metadata"].setdefault("labels", {})
    status = op.status
    if status.get("phase") != phase or labels.get(node_names.PHASE_LABEL) != phase:
        status["phase"] = phase
        labels[node_names.PHASE_LABEL] = phase
        labels.setdefault(node_names.COMPLETED_LABEL, "false")
        op.changed = True
    if not status.get("startedAt") and phase != "Pending":
        status["startedAt"] = timestamps.stamp(op.clock)
        status.setdefault("finishedAt", None)
        op.changed = True
    if status.get("message", "") != message:
        status["message"] = message
        op.changed = True
    if not message:
        status.pop("message", None)


def _end(op: Operation, phase: str, message: str) -> None:
    """End the workflow; an entry node that still runs is told so."""
    _mark(op, phase, message)
    entry = op.tree.node(op.name)
    if phase == "Error" and entry is not None and entry["phase"] == "Running":
        op.tree.mark(op.name, "Error", "Workflow operation error")
    op.status["finishedAt"] = timestamps.stamp(op.clock)
    op.workflow["metadata"]["labels"][node_names.COMPLETED_LABEL] = "true"
    pod_state.upsert_condition(op, {"type": "Completed", "status": "True"})
    op.changed = True


# -- events that concern a workflow ----------------------------------------------------------------------------------


def _of_label(event: Event) -> list[Key]:
    name = (event.object["metadata"].get("labels") or {}).get(node_names.WORKFLOW_LABEL)
    return [(event.key[0], name)] if name else []


def _of_pod(event: Event) -> Iterable[Key]:
    """A pod's workflow, unless the change tells it nothing: the pod that the controller has made itself, its own label, or what
    a container of a running pod does."""
    if event.type == "ADDED":
        return []
    if event.type == "MODIFIED" and event.previous is not None:
        before, now = event.previous, event.object
        was, status = before.get("status") or {}, now.get("status") or {}
        same_status = was == status or was.get("phase") == status.get("phase") == "Running"
        if same_status and before["metadata"].get("deletionTimestamp") == now["metadata"].get("deletionTimestamp"):
            return []
    return _of_label(event)


def _of_result(event: Event, store: Store) -> Iterable[Key]:
    """A report's workflow. A report without progress waits for the end of its pod, which is near: one pass reads both."""
    found = [] if event.type == "DELETED" else _of_label(event)
    return [] if found and not event.object.get("progress") and _pod_runs(event, *found[0], store) else found


def _pod_runs(event: Event, namespace: str, workflow: str, store: Store) -> bool:
    """Whether the pod that has made the report is known to run."""
    owner = store.find(WORKFLOWS, namespace, workflow, shared=True)
    node = (((owner or {}).get("status") or {}).get("nodes") or {}).get(event.object["metadata"]["name"])
    if node is None:
        return False
    pod = node_names.pod_name(workflow, node["name"], node_names.template_of(node))
    found = store.find(PODS, namespace, pod, shared=True)
    return found is not None and (found.get("status") or {}).get("phase") == "Running"


CONTROLLER = Controller(
    "workflow",
    WORKFLOWS,
    reconcile,
    watches={PODS: _of_pod},
    finds={WORKFLOWTASKRESULTS: _of_result, WORKFLOWS: locks.waiting},
    shared=True,
)

__all__ = ["CONTROLLER", "reconcile"]
