"""What a step or task can refer to: the outputs of those before it, under `steps.NAME.` or `tasks.NAME.`.

Mechanism. A scope is a flat map of dotted names to texts (parameters) and objects (artifacts). The outputs of a loop
are gathered into JSON lists, in the order of the items. A retried step answers with its last attempt.
"""

from __future__ import annotations

from typing import Any

from kubeproc.argo.language import expressions, go_text, marshal, templating
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.quoting import quote
from kubeproc.argo.templates import arguments, node_names
from kubeproc.argo.workflow import loop_items
from kubeproc.argo.workflow.nodes import is_hook, is_retry
from kubeproc.argo.workflow.operation import Object, Operation, OperationError


class Scope:
    """The names that a template's steps or tasks can use; `template` is the processed one."""

    def __init__(self, template: Object | None) -> None:
        self.values: dict[str, Any] = {}
        inputs = (template or {}).get("inputs") or {}
        for parameter in inputs.get("parameters") or ():
            self.values[f"inputs.parameters.{parameter['name']}"] = go_text.text(parameter.get("value", ""))
        for artifact in inputs.get("artifacts") or ():
            self.values[f"inputs.artifacts.{artifact['name']}"] = artifact

    def parameters(self) -> dict[str, str]:
        return {k: v for k, v in self.values.items() if isinstance(v, str)}

    def resolve(self, reference: str) -> Any:
        """The value that `{{name}}` or `{{=expression}}` names, an artifact included."""
        tag = reference.strip().removeprefix("{{").removesuffix("}}").strip()
        if not tag.startswith("="):
            if tag not in self.values:
                raise OperationError(f"Unable to resolve: {quote(tag)}")
            return self.values[tag]
        try:
            found = expressions.evaluate(tag[1:], expressions.unfold(self.values))
        except expressions.ExpressionError:
            raise OperationError(f"Invalid expression: {quote(tag[1:])}") from None
        if found is None:
            raise OperationError(f"Unable to resolve: {quote(tag)}")
        return found

    def evaluate(self, source: str) -> Any:
        try:
            return expressions.evaluate(source, expressions.environment(self.values))
        except (expressions.ExpressionError, expressions.NotSupported) as error:
            raise OperationError(str(error)) from None

    def parameter(self, source: Object) -> Any:
        """The value of an output's `valueFrom`."""
        if source.get("expression"):
            try:
                return expressions.text(self.evaluate(source["expression"]))
            except expressions.ExpressionError as error:
                raise OperationError(str(error)) from None
        return self.resolve(source["parameter"]) if source.get("parameter") else ""

    def artifact(self, wanted: Object) -> Object:
        """The artifact that `from` or `fromExpression` names, at its subPath."""
        if wanted.get("fromExpression"):
            found = self.evaluate(wanted["fromExpression"])
        else:
            found = self.resolve(wanted["from"])
        if not isinstance(found, dict):
            raise OperationError(
                f"Variable {{{{{wanted.get('from') or wanted.get('fromExpression')}}}}} is not an artifact"
            )
        if wanted.get("subPath"):
            try:
                return arguments.with_key(
                    found, templating.replace(wanted["subPath"], self.parameters(), unresolved=True)
                )
            except arguments.ArgumentError as error:
                raise OperationError(str(error)) from None
        return found


def last_attempt(op: Operation, node: Object) -> Object:
    """The node itself, or the last attempt of a retried one."""
    if node["type"] != "Retry" or (node.get("memoizationStatus") or {}).get("hit"):
        return node
    for child in reversed(op.tree.children(node)):
        if not is_hook(child):
            return child
    return node


def add_node(op: Operation, scope: Scope, prefix: str, node: Object) -> None:
    """What a node has to say: its id, times, status and outputs."""
    node = last_attempt(op, node)
    known = {"id": "id", "startedAt": "startedAt", "finishedAt": "finishedAt", "ip": "podIP", "status": "phase",
             "hostNodeName": "hostNodeName"}  # fmt: skip
    for name, field in known.items():
        if node.get(field):
            scope.values[f"{prefix}.{name}"] = node[field]
    add_outputs(scope, prefix, node.get("outputs"))


def add_outputs(scope: Scope, prefix: str, outputs: Object | None) -> None:
    outputs = outputs or {}
    if prefix != "workflow":
        if outputs.get("result") is not None:
            scope.values[f"{prefix}.outputs.result"] = outputs["result"]
        if outputs.get("exitCode") is not None:
            scope.values[f"{prefix}.exitCode"] = outputs["exitCode"]
    for parameter in outputs.get("parameters") or ():
        if parameter.get("value") is not None:
            scope.values[f"{prefix}.outputs.parameters.{parameter['name']}"] = go_text.text(parameter["value"])
    for artifact in outputs.get("artifacts") or ():
        scope.values[f"{prefix}.outputs.artifacts.{artifact['name']}"] = artifact


def add_loop(op: Operation, scope: Scope, prefix: str, nodes: list[Object]) -> None:
    """The outputs of a loop's iterations as JSON lists; those that did not succeed are left out."""
    nodes = [node for node in nodes if not is_hook(node) and not is_retry(node)]
    if not nodes:
        return
    nodes.sort(key=lambda node: node_names.loop_index(node["name"]))
    maps: list[dict[str, str]] = []
    lists: dict[str, list[str]] = {}
    results: list[str] = []
    for node in nodes:
        outputs = node.get("outputs") or {}
        if node["phase"] != "Succeeded":
            continue
        values = {p["name"]: go_text.text(p.get("value", "")) for p in outputs.get("parameters") or ()}
        if values:
            maps.append(values)
        for name, value in values.items():
            lists.setdefault(name, []).append(value)
        if outputs.get("result") is not None:
            results.append(as_item(outputs["result"]))
    scope.values[f"{prefix}.outputs.result"] = f"[{','.join(results)}]"
    scope.values[f"{prefix}.outputs.parameters"] = go_text.encode(maps)
    for name, members in lists.items():
        scope.values[f"{prefix}.outputs.parameters.{name}"] = gathered(members)


def as_item(text: str) -> str:
    """A result as a member of the list, its numbers as they are written; OperationError where it is no JSON."""
    try:
        return loop_items.compact(loop_items.checked(text))
    except loop_items.NotJSON as error:
        raise OperationError(str(error)) from None


def gathered(members: list[str]) -> str:
    """The list of the members: as lists and maps where all of them are JSON of that kind, else as texts."""
    try:
        found = [marshal.unmarshal(member) for member in members]
        if all(isinstance(item, (list, dict)) for item in found):
            return marshal.marshal(found)
    except Panic:
        pass
    return go_text.encode(members)


def resolve_artifacts(scope: Scope, given: Object | None) -> Object | None:
    """The `arguments` with each artifact's `from` replaced by the artifact it names."""
    artifacts = (given or {}).get("artifacts")
    if not given or not artifacts:
        return given
    found: list[Object] = []
    for artifact in artifacts:
        if not artifact.get("from") and not artifact.get("fromExpression"):
            found.append(artifact)
            continue
        try:
            found.append(scope.artifact(artifact) | {"name": artifact["name"]})
        except OperationError:
            if not artifact.get("optional"):
                raise
    return given | {"artifacts": found}


def outputs_of(template: Object, scope: Scope) -> Object | None:
    """The outputs of a steps or dag template, from those of its children."""
    wanted = template.get("outputs") or {}
    found: Object = {}
    parameters = []
    for parameter in wanted.get("parameters") or ():
        source = parameter.get("valueFrom")
        if source is None:
            raise OperationError("output parameters must have a valueFrom specified")
        try:
            value = scope.parameter(source)
        except OperationError:
            if source.get("default") is None:
                raise
            value = source["default"]
        parameters.append({k: v for k, v in parameter.items() if k != "valueFrom"} | {"value": go_text.text(value)})
    artifacts = []
    for artifact in wanted.get("artifacts") or ():
        if not artifact.get("from") and not artifact.get("fromExpression"):
            continue
        try:
            resolved = scope.artifact(artifact) | {"name": artifact["name"]}
        except OperationError as error:
            if artifact.get("optional") and "Unable to resolve" in str(error):
                continue
            raise OperationError(f"unable to resolve outputs from scope: {error}") from None
        artifacts.append(resolved)
        if artifact.get("globalName"):
            resolved["globalName"] = artifact["globalName"]
    if parameters:
        found["parameters"] = parameters
    if artifacts:
        found["artifacts"] = artifacts
    return found or None


def publish(op: Operation, outputs: Object | None) -> None:
    """Make outputs with a `globalName` the workflow's own."""
    for parameter in (outputs or {}).get("parameters") or ():
        if parameter.get("globalName"):
            if parameter.get("value") is not None:
                op.variables[f"workflow.outputs.parameters.{parameter['globalName']}"] = go_text.text(
                    parameter["value"]
                )
            if add_global_parameter(op.status, parameter):
                op.changed = True
    for artifact in (outputs or {}).get("artifacts") or ():
        if artifact.get("globalName"):
            named = {k: v for k, v in artifact.items() if k not in ("globalName", "path")}
            named["name"] = artifact["globalName"]
            if _put(op.status.setdefault("outputs", {}).setdefault("artifacts", []), named):
                op.changed = True


def add_global_parameter(status: Object, parameter: Object) -> bool:
    """Put an output parameter with a `globalName` among the workflow's outputs; whether that changed them."""
    named = {"name": parameter["globalName"], "value": parameter.get("value")}
    return _put(status.setdefault("outputs", {}).setdefault("parameters", []), named)


def _put(members: list[Object], named: Object) -> bool:
    for i, member in enumerate(members):
        if member["name"] == named["name"]:
            members[i] = named
            return member != named
    members.append(named)
    return True
