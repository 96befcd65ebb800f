"""Suspend templates: a node that waits for its duration, or for somebody to resume it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labkit.embedded.argo import gotext
from labkit.embedded.argo.operation import Object, Operation, OperationError

if TYPE_CHECKING:
    from labkit.embedded.argo.execute import Call


def run(op: Operation, call: Call, template: Object) -> None:
    """Begin to wait, or end the wait that is over."""
    node = op.node(call.name)
    if node is None:
        node = op.start(call.name, "Suspend", call.holder, call.source.label, call.boundary, "Running",
                        flag=call.flag, template=template)  # fmt: skip
        _offer_choices(node)
        supplied = [dict(p) for p in (template.get("outputs") or {}).get("parameters") or ()
                    if (p.get("valueFrom") or {}).get("supplied") is not None]  # fmt: skip
        if supplied:
            node["outputs"] = {"parameters": supplied}
    elif node["phase"] == "Pending":
        op.mark(call.name, "Running")
    duration = (template.get("suspend") or {}).get("duration")
    if duration:
        try:
            over = (gotext.moment(node["startedAt"]) or op.clock) + gotext.duration(duration)
        except ValueError as error:
            raise OperationError(str(error)) from None
        if op.clock > over:
            use_defaults(node.get("outputs"))
            op.mark(call.name, "Succeeded")
            return
        op.wake_at(over + 0.01)
    if op.deadline is not None:
        op.wake_at(op.deadline + 0.01)


def _offer_choices(node: Object) -> None:
    """An input whose value is JSON with an `enum` offers these choices."""
    for parameter in (node.get("inputs") or {}).get("parameters") or ():
        try:
            value = json.loads(parameter.get("value", ""))
        except ValueError:
            continue
        if isinstance(value, dict) and isinstance(value.get("enum"), list) and value["enum"]:
            parameter["enum"] = [gotext.text(choice) for choice in value["enum"]]
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
        parameter["value"] = gotext.text(source["default"])
        del parameter["valueFrom"]
