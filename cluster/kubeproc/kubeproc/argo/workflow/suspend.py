"""Suspend templates: a node that waits for its duration, or for somebody to resume it.

Mechanism. The node runs without a pod. A pass after its duration ends it and gives its supplied outputs their defaults; a person
ends it through `actions`. The pass asks to be called again when the duration is over.
"""

from __future__ import annotations

import copy
import json

from kubeproc import timestamps
from kubeproc.argo.language import go_text
from kubeproc.argo.workflow.call import Call
from kubeproc.argo.workflow.operation import Object, Operation, OperationError


def run(op: Operation, call: Call, template: Object) -> None:
    """Begin to wait, or end the wait that is over."""
    node = op.tree.node(call.name)
    if node is None:
        node = op.tree.start(call.name, "Suspend", call.holder, call.source.label, call.boundary, "Running",
                        flag=call.flag, template=template)  # fmt: skip
        _offer_choices(node)
        supplied = [dict(p) for p in (template.get("outputs") or {}).get("parameters") or ()
                    if (p.get("valueFrom") or {}).get("supplied") is not None]  # fmt: skip
        if supplied:
            node["outputs"] = {"parameters": supplied}
    elif node["phase"] == "Pending":
        op.tree.mark(call.name, "Running")
    duration = (template.get("suspend") or {}).get("duration")
    if duration:
        try:
            over = (timestamps.seconds_or_none(node["startedAt"]) or op.clock) + go_text.duration(duration)
        except ValueError as error:
            raise OperationError(str(error)) from None
        if op.clock > over:
            outputs = copy.deepcopy(node.get("outputs"))
            use_defaults(outputs)
            op.tree.set(node, "outputs", outputs)
            op.tree.mark(call.name, "Succeeded")
            return
        op.turn.wake_at(over + 0.01)
    if op.deadline is not None:
        op.turn.wake_at(op.deadline + 0.01)


def _offer_choices(node: Object) -> None:
    """An input whose value is JSON with an `enum` offers these choices."""
    for parameter in (node.get("inputs") or {}).get("parameters") or ():
        try:
            value = json.loads(parameter.get("value", ""))
        except ValueError:
            continue
        if isinstance(value, dict) and isinstance(value.get("enum"), list) and value["enum"]:
            parameter["enum"] = [go_text.text(choice) for choice in value["enum"]]
            parameter.setdefault("default", parameter["enum"][0])


def use_defaults(outputs: Object | None) -> None:
    """Give supplied outputs their defaults; OperationError where one has none."""
    for parameter in (outputs or {}).get("parameters") or ():
        source = parameter.get("valueFrom") or {}
        if source.get("supplied") is None:
            continue
        if source.get("default") is None:
            why = f"raw output parameter '{parameter['name']}' has not been set and does not have a default value"
            raise OperationError(why)
        parameter["value"] = go_text.text(source["default"])
        del parameter["valueFrom"]
