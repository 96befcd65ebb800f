"""A template called with arguments: inputs filled in, then every known tag substituted.

Each input parameter takes the argument's value, else its default, else a ConfigMap's; none at all is an error. Globals
and locals are substituted first and the inputs in a second pass, because an input's value can contain a tag.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Protocol

from kubeproc.argo.language import go_text, templating
from kubeproc.resources import CONFIGMAPS
from kubeproc.store import Store

Object = dict[str, Any]

LOCATIONS = ("s3", "git", "http", "artifactory", "hdfs", "raw", "oss", "gcs", "azure", "plugin")
_FIELDS = ("name", "default", "value", "valueFrom", "globalName", "enum", "description")


class ArgumentError(Exception):
    """An input without a value, or a missing ConfigMap key; the message is Argo's."""


class Lookup(Protocol):
    """The arguments by name: a step's, or placeholders for validation."""

    def parameter(self, name: str) -> Object | None: ...
    def artifact(self, name: str) -> Object | None: ...


class Arguments:
    """The `arguments` of a workflow, a step, a task or a hook."""

    def __init__(self, arguments: Object | None) -> None:
        self._parameters = {p.get("name"): p for p in (arguments or {}).get("parameters") or []}
        self._artifacts = {a.get("name"): a for a in (arguments or {}).get("artifacts") or []}

    def parameter(self, name: str) -> Object | None:
        return self._parameters.get(name)

    def artifact(self, name: str) -> Object | None:
        return self._artifacts.get(name)


def has_location(artifact: Object) -> bool:
    """Whether the artifact has a location (a repository, or a key in the default one)."""
    return any(artifact.get(kind) is not None for kind in LOCATIONS)


def normal(parameter: Object) -> Object:
    """The parameter with its fields in Go's order and its values as texts."""
    found = {k: parameter[k] for k in _FIELDS if parameter.get(k) is not None}
    for name in ("default", "value"):
        if name in found:
            found[name] = go_text.text(found[name])
    if "enum" in found:
        found["enum"] = [go_text.text(v) for v in found["enum"]]
    return found


def configmap_value(reference: Object, variables: Mapping[str, str], namespace: str, store: Store) -> str:
    """The value of a `configMapKeyRef`, whose name and key can contain tags. ArgumentError if either does not exist."""
    reference = templating.replace(reference, variables, unresolved=False)
    name, key = reference.get("name", ""), reference.get("key", "")
    configmap = store.find(CONFIGMAPS, namespace, name)
    if configmap is None:
        raise ArgumentError(f"ConfigMap '{name}' does not exist. Please make sure it has the label "
                            "workflows.argoproj.io/configmap-type: Parameter to be detectable by the controller")  # fmt: skip
    label = (configmap["metadata"].get("labels") or {}).get("workflows.argoproj.io/configmap-type")
    if label != "Parameter":
        raise ArgumentError(
            f"ConfigMap '{name}' needs to have the label workflows.argoproj.io/configmap-type: Parameter "
            "to load parameters"
        )
    if key not in (configmap.get("data") or {}):
        raise ArgumentError(f"ConfigMap '{name}' does not have the key '{key}'")
    return configmap["data"][key]


def process(
    template: Object,
    arguments: Lookup,
    variables: Mapping[str, str],
    local: Mapping[str, str],
    namespace: str,
    store: Store | None,
    *,
    validating: bool = False,
) -> Object:
    """The template with its inputs filled in and all known tags substituted; the original is unchanged."""
    inputs = template.get("inputs") or {}
    if inputs:
        filled = dict(inputs)
        if inputs.get("parameters"):
            filled["parameters"] = [_parameter(p, arguments, variables, namespace, store) for p in inputs["parameters"]]
        if inputs.get("artifacts"):
            filled["artifacts"] = [_artifact(a, arguments, validating) for a in inputs["artifacts"]]
        template = template | {"inputs": filled}
    return substitute(template, variables, local)


def _parameter(
    wanted: Object, arguments: Lookup, variables: Mapping[str, str], namespace: str, store: Store | None
) -> Object:
    found = dict(wanted)
    if found.get("value") is None and found.get("default") is not None:
        found["value"] = found["default"]
    given = arguments.parameter(found["name"])
    if given is not None:
        used, unused = ("value", "valueFrom") if given.get("value") is not None else ("valueFrom", "value")
        found.pop(unused, None)
        found.pop(used, None)
        if given.get(used) is not None:
            found[used] = given[used]
    source = found.get("valueFrom") or {}
    if source.get("configMapKeyRef"):
        if store is not None:
            try:
                found["value"] = configmap_value(source["configMapKeyRef"], variables, namespace, store)
            except ArgumentError as error:
                if source.get("default") is None:
                    why = f"unable to retrieve inputs.parameters.{found['name']} from ConfigMap: {error}"
                    raise ArgumentError(why) from None
                found["value"] = source["default"]
    elif found.get("value") is None:
        raise ArgumentError(f"inputs.parameters.{found['name']} was not supplied")
    return normal(found)


def _artifact(wanted: Object, arguments: Lookup, validating: bool) -> Object:
    given = arguments.artifact(wanted["name"])
    if not wanted.get("optional") and not has_location(wanted):
        if given is None:
            raise ArgumentError(f"inputs.artifacts.{wanted['name']} was not supplied")
        if not has_location(given) and not validating:
            raise ArgumentError(f"inputs.artifacts.{wanted['name']} missing location information")
    if given is None:
        return wanted
    kept = {k: wanted[k] for k in ("path", "mode", "recurseMode") if k in wanted}
    return {k: v for k, v in given.items() if k not in ("path", "mode", "recurseMode")} | kept


def substitute(template: Object, variables: Mapping[str, str], local: Mapping[str, str]) -> Object:
    """Two passes of substitution: globals and locals, then the inputs too."""
    known: dict[str, Any] = {**variables, **local}
    template = templating.replace(template, known, unresolved=True)
    inputs, outputs = template.get("inputs") or {}, template.get("outputs") or {}
    parameters = inputs.get("parameters") or []
    for parameter in parameters:
        if parameter.get("value") is not None:
            known[f"inputs.parameters.{parameter['name']}"] = go_text.text(parameter["value"])
    known["inputs.parameters"] = go_text.encode(parameters, ordered=True) if parameters else "null"
    for artifact in inputs.get("artifacts") or []:
        if artifact.get("path"):
            known[f"inputs.artifacts.{artifact['name']}.path"] = artifact["path"]
    for artifact in outputs.get("artifacts") or []:
        if artifact.get("path"):
            known[f"outputs.artifacts.{artifact['name']}.path"] = artifact["path"]
    for parameter in outputs.get("parameters") or []:
        if (parameter.get("valueFrom") or {}).get("path"):
            known[f"outputs.parameters.{parameter['name']}.path"] = parameter["valueFrom"]["path"]
    return templating.replace(template, known, unresolved=True)


def with_key(artifact: Object, sub_path: str) -> Object:
    """The artifact at `sub_path` below its key."""
    found = copy.deepcopy(artifact)
    for kind in LOCATIONS:
        if kind in found and "key" in found[kind]:
            found[kind]["key"] = f"{found[kind]['key'].rstrip('/')}/{sub_path.strip('/')}"
            return found
    if found.get("optional"):
        return found
    raise ArgumentError("key unsupported: cannot use it for artifact location")
