"""The global variables: `workflow.name`, `workflow.parameters.x`, `workflow.creationTimestamp.Y` and the others.

Mechanism. Each pass fills in `op.variables` from the workflow's metadata, its arguments and the outputs that its nodes made
global. Status, duration and failures change while the workflow runs and are set when something may ask for them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from kubeproc import timestamps
from kubeproc.argo.language import expressions, go_text, templating
from kubeproc.argo.templates import arguments, node_names
from kubeproc.argo.workflow.nodes import failed
from kubeproc.argo.workflow.operation import Object, Operation, OperationError

_TIMES = {"B": "%B", "b": "%b", "m": "%m", "A": "%A", "a": "%a", "d": "%d", "H": "%H", "I": "%I", "M": "%M", "S": "%S",
          "Y": "%Y", "y": "%y", "p": "%p", "Z": "UTC", "z": "+0000", "L": ".000"}  # fmt: skip


def set_all(op: Operation) -> None:
    """Fill `op.variables`. OperationError, in Argo's words, where a parameter has no value."""
    meta, known = op.workflow["metadata"], op.variables
    created = meta["creationTimestamp"]
    known |= {
        "workflow.name": op.name,
        "workflow.namespace": op.namespace,
        "workflow.mainEntrypoint": op.spec.get("entrypoint") or "",
        "workflow.serviceAccountName": op.spec.get("serviceAccountName") or "",
        "workflow.uid": meta["uid"],
        "workflow.creationTimestamp": created,
        "workflow.creationTimestamp.RFC3339": created,
    }
    moment = datetime.fromtimestamp(timestamps.seconds_or_none(created) or 0, UTC)
    for letter, pattern in _TIMES.items():
        known[f"workflow.creationTimestamp.{letter}"] = moment.strftime(pattern)
    known["workflow.creationTimestamp.s"] = str(int(moment.timestamp()))
    if op.spec.get("priority") is not None:
        known["workflow.priority"] = str(op.spec["priority"])
    scheduled = (meta.get("annotations") or {}).get(f"{node_names.GROUP}/scheduled-time")
    if scheduled:
        known["workflow.scheduledTime"] = scheduled
    _parameters(op)
    for parameter in (op.status.get("outputs") or {}).get("parameters") or ():
        if parameter.get("value") is not None:
            known[f"workflow.outputs.parameters.{parameter['name']}"] = go_text.text(parameter["value"])
    _metadata(op)


def _parameters(op: Operation) -> None:
    parameters = (op.spec.get("arguments") or {}).get("parameters") or []
    shown = go_text.encode([arguments.normal(p) for p in parameters], ordered=True) if parameters else "null"
    op.variables |= {"workflow.parameters": shown, "workflow.parameters.json": shown}
    for parameter in parameters:
        name, source = parameter["name"], parameter.get("valueFrom") or {}
        if parameter.get("value") is not None:
            value = go_text.text(parameter["value"])
        elif source.get("configMapKeyRef"):
            reference = source["configMapKeyRef"]
            try:
                value = arguments.configmap_value(reference, op.variables, op.namespace, op.store)
            except (arguments.ArgumentError, templating.TemplateError) as error:
                if source.get("default") is None:
                    raise OperationError(
                        f"failed to set global parameter {name} from configmap with name {reference.get('name')} "
                        f"and key {reference.get('key')}: {error}"
                    ) from None
                value = go_text.text(source["default"])
        else:
            raise OperationError(f"either value or valueFrom must be specified in order to set global parameter {name}")
        op.variables[f"workflow.parameters.{name}"] = value


def _metadata(op: Operation) -> None:
    meta, wanted = op.workflow["metadata"], op.spec.get("workflowMetadata") or {}
    for kind in ("annotations", "labels"):
        shown = go_text.encode(meta.get(kind)) if meta.get(kind) else "null"
        op.variables |= {f"workflow.{kind}": shown, f"workflow.{kind}.json": shown}
        later = wanted.get("labelsFrom") or {} if kind == "labels" else {}
        for name, value in {**(meta.get(kind) or {}), **(wanted.get(kind) or {})}.items():
            if name not in later:
                op.variables[f"workflow.{kind}.{name}"] = go_text.text(value)


def set_runtime(op: Operation) -> None:
    """`workflow.status` and `workflow.duration` as of now."""
    start = timestamps.seconds_or_none(op.status.get("startedAt"))
    op.variables["workflow.status"] = op.status.get("phase") or ""
    op.variables["workflow.duration"] = f"{op.clock - start if start else 0:f}"


def set_failures(op: Operation) -> None:
    """`workflow.failures`, for exit handlers: the failed nodes, as JSON that is quoted once more."""
    failures = [
        {
            "displayName": node["displayName"],
            "message": node.get("message", ""),
            "templateName": node_names.template_of(node) or "",
            "phase": node["phase"],
            "podName": op.pod_name(node["name"], node_names.template_of(node) or ""),
            "finishedAt": node.get("finishedAt"),
        }
        for node in op.tree.nodes.values()
        if failed(node)
    ]
    text = go_text.encode(failures, ordered=True) if failures else "null"
    op.variables["workflow.failures"] = json.dumps(text, ensure_ascii=False)


def label_workflow(op: Operation) -> None:
    """Give the workflow the labels and annotations of `workflowMetadata`, once, when it begins."""
    wanted: Object = op.spec.get("workflowMetadata") or {}
    if not wanted:
        return
    meta = op.workflow["metadata"]
    for kind in ("labels", "annotations"):
        if wanted.get(kind):
            meta[kind] = {**(meta.get(kind) or {}), **wanted[kind]}
    for name, source in (wanted.get("labelsFrom") or {}).items():
        expression = source.get("expression", "")
        try:
            value = expressions.evaluate(expression, expressions.environment(op.variables))
        except (expressions.ExpressionError, expressions.NotSupported) as error:
            raise OperationError(f'failed to evaluate label "{name}" expression "{expression}": {error}') from None
        if not isinstance(value, str):
            raise OperationError(
                f'failed to evaluate label "{name}" expression "{expression}" evaluted to {type(value).__name__} '
                "but must be a string"
            )
        meta.setdefault("labels", {})[name] = value
        op.variables[f"workflow.labels.{name}"] = value
    op.changed = True
