"""Checks of a single template's content: inputs, outputs, mounts, resources."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from kubeproc.argo.templates import spec as specs
from kubeproc.argo.validation.name_checks import (
    PARAMETER,
    Invalid,
    check_names,
    is_placeholder,
    placeholder,
    wrong_value_name,
)

Object = dict[str, Any]
Scope = dict[str, Any]

_ACTIONS = ("get", "create", "apply", "delete", "replace", "patch")
_OUTPUT_SOURCES = ("path", "jqFilter", "jsonPath", "parameter", "expression")


def kind_name(template: Object) -> str:
    kind = specs.kind_of(template)
    return {"dag": "DAG", "http": "HTTP"}.get(kind, kind.capitalize())


def check_inputs(template: Object) -> Scope:
    inputs, where = template.get("inputs") or {}, f"templates.{template.get('name', '')}"
    for kind in ("parameters", "artifacts"):
        check_names(inputs.get(kind) or [], f"{where}.inputs.{kind}", of_values=True)
    scope: Scope = {f"inputs.parameters.{p['name']}": True for p in inputs.get("parameters") or []}
    if scope:
        scope["inputs.parameters"] = True
    for artifact in inputs.get("artifacts") or []:
        name = f"inputs.artifacts.{artifact['name']}"
        scope[name] = True
        if specs.is_leaf(template):
            check_path(where, name, artifact)
            scope[f"{name}.path"] = True
        elif artifact.get("path"):
            raise Invalid(f"{where}.{name}.path only valid in container/script templates")
        if artifact.get("from"):
            raise Invalid(f"{where}.{name}.from not valid in inputs")
        if artifact.get("git") is not None and not artifact["git"].get("repo"):
            raise Invalid(f"{where}.{name}.git.repo is required")
    return scope


def check_path(where: str, name: str, artifact: Object) -> None:
    path = artifact.get("path") or ""
    if not path:
        raise Invalid(f"error in {where}.{name}: Artifact '{artifact['name']}' did not specify a path")
    at = path.find("/../")
    safe = path[:at] if at >= 0 else path[:-3] if path.endswith("/..") else ""
    clean = posixpath.normpath(path)
    if safe and not (clean.startswith(safe + "/") and len(clean) > len(safe) + 1):
        raise Invalid(
            f"error in {where}.{name}: Artifact '{artifact['name']}' attempted to use a path containing '..'. "
            "Directory traversal is not permitted"
        )


def check_global_name(where: str, item: Object) -> None:
    name = item.get("globalName")
    if name and not PARAMETER.search(name) and wrong_value_name(name):
        raise Invalid(f"{where}.globalName: {wrong_value_name(name)}")


def check_output_parameter(where: str, template: Object, parameter: Object) -> None:
    source, value = parameter.get("valueFrom"), parameter.get("value")
    if source is not None and value is not None:
        raise Invalid(f"{where} has both valueFrom and value specified. Choose one.")
    if value is None and source is None:
        raise Invalid(f"{where} does not have valueFrom or value specified")
    if source is not None:
        kinds = sum(bool(source.get(k)) for k in _OUTPUT_SOURCES) + (source.get("supplied") is not None)
        if kinds == 0:
            raise Invalid(
                "valueFrom type unspecified. choose one of: path, jqFilter, jsonPath, parameter, raw, expression"
            )
        if kinds > 1:
            raise Invalid("multiple valueFrom types specified. choose one of: path, jqFilter, jsonPath, parameter, raw")
        kind = kind_name(template)
        if kind in ("Container", "Script") and not source.get("path"):
            raise Invalid(f"{where}.path must be specified for {kind} templates")
        if kind == "Resource" and not source.get("jqFilter") and not source.get("jsonPath"):
            raise Invalid(f"{where} .jqFilter or jsonPath must be specified for {kind} templates")
        if kind in ("DAG", "Steps") and not source.get("parameter") and not source.get("expression"):
            raise Invalid(f"{where}.parameter or expression must be specified for {kind} templates")
    check_global_name(where, parameter)


def check_mounts(where: str, template: Object) -> None:
    taken: dict[str, str] = {}
    places = [
        (f"container.volumeMounts[{i}].mountPath", m.get("mountPath"), f"container.volumeMounts.{m.get('name')}")
        for i, m in enumerate(template["container"].get("volumeMounts") or ())
    ]
    places += [
        (f"inputs.artifacts[{i}].path", a.get("path"), f"inputs.artifacts.{a['name']}")
        for i, a in enumerate((template.get("inputs") or {}).get("artifacts") or ())
    ]
    for field, path, what in places:
        if path in taken:
            raise Invalid(f"{where}.{field} '{path}' already mounted in {taken[path]}")
        taken[path] = what


def without_expressions(manifest: str) -> str:
    """The manifest with a placeholder for each expression; the text after the last end of a tag is not searched."""
    end = manifest.rfind("}}") + 2 if "}}" in manifest else 0
    return re.sub(r"{{\s*=.+?}}", lambda match: placeholder(), manifest[:end]) + manifest[end:]


def check_resource(where: str, template: Object) -> None:
    resource = template["resource"]
    action, manifest = resource.get("action") or "", resource.get("manifest") or ""
    if not is_placeholder(action) and action not in _ACTIONS:
        raise Invalid(f"{where}.resource.action must be one of: {', '.join(_ACTIONS)}")
    if action in ("delete", "get"):
        return
    source = resource.get("manifestFrom")
    if not manifest and not source:
        raise Invalid(f"either {where}.resource.manifest or {where}.resource.manifestFrom must be specified")
    if manifest and source:
        raise Invalid("shouldn't have both `manifest` and `manifestFrom` specified in `Manifest` for resource template")
    if source and source.get("artifact"):
        names = [a["name"] for a in (template.get("inputs") or {}).get("artifacts") or ()]
        if source["artifact"].get("name") not in names:
            raise Invalid(f"artifact {source['artifact'].get('name')} in `manifestFrom` refer to a non-exist artifact")
    if manifest and not is_placeholder(manifest):
        import yaml  # only if there is a manifest

        try:
            yaml.safe_load(without_expressions(manifest))
        except yaml.YAMLError:
            raise Invalid(f"{where}.resource.manifest must be a valid yaml") from None
