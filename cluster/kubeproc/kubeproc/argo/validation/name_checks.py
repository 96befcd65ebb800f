"""The simplest checks: names, arguments, hooks, and their error messages."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

from kubeproc.argo.language import go_text
from kubeproc.argo.templates import arguments as args

Object = dict[str, Any]
Scope = dict[str, Any]

ANY_ITEM, ANY_OUTPUT = "item.*", "workflow.outputs.parameters.*"
ANY_ARTIFACT = "workflow.outputs.artifacts.*"
_VALUE_NAME, _NAME = re.compile(r"^[-a-zA-Z0-9_]+$"), re.compile(r"^[a-zA-Z0-9][-a-zA-Z0-9]*$")
PARAMETER = re.compile(r"{{[-a-zA-Z0-9]+(\.[-a-zA-Z0-9_]+)*}}")
_VALUE_NAME_WORDS = (
    "Parameter/Artifact name must consist of alpha-numeric characters, '_' or '-' e.g. my_param_1, MY-PARAM-1"
)
_NAME_WORDS = (
    "name must consist of alpha-numeric characters or '-', and must start with an alpha-numeric character "
    "(e.g. My-name1-2, 123-NAME)"
)
_count = itertools.count()


class Invalid(Exception):
    """The workflow is not valid; the message is Argo's."""


def placeholder() -> str:
    """A placeholder for a value that is known only when the workflow runs."""
    return f"placeholder-{next(_count)}"


def is_placeholder(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("placeholder-")


def check_names(items: Iterable[Object], prefix: str, *, of_values: bool) -> None:
    """Check that names are present, valid and unique; `of_values` for parameters and artifacts."""
    seen: set[str] = set()
    for i, item in enumerate(items):
        name = item.get("name") or ""
        if not name:
            raise Invalid(f"{prefix}[{i}].name is required")
        wrong = wrong_value_name(name) if of_values else wrong_name(name)
        if wrong:
            raise Invalid(f"{prefix}[{i}].name: '{name}' is invalid: {wrong}")
        if name in seen:
            raise Invalid(f"{prefix}[{i}].name '{name}' is not unique")
        seen.add(name)


def wrong_value_name(name: str) -> str:
    return "" if _VALUE_NAME.match(name) else _VALUE_NAME_WORDS


def wrong_name(name: str) -> str:
    long = ["must be no more than 128 characters"] if len(name) > 128 else []
    return ";".join(long + ([] if _NAME.match(name) else [_NAME_WORDS]))


def check_arguments(prefix: str, arguments: Object | None, *, may_be_empty: bool) -> None:
    arguments = arguments or {}
    for kind in ("parameters", "artifacts"):
        check_names(arguments.get(kind) or [], f"{prefix}{kind}", of_values=True)
    for parameter in arguments.get("parameters") or []:
        _check_argument(f"{prefix}{parameter['name']}", parameter, may_be_empty)
    for artifact in arguments.get("artifacts") or []:
        where = f"{prefix}{artifact['name']}"
        if not artifact.get("from") and not args.has_location(artifact) and not artifact.get("fromExpression"):
            raise Invalid(f"{where}.from, artifact location, or key is required")
        if artifact.get("from") and artifact.get("fromExpression"):
            raise Invalid(f"{where} shouldn't have both `from` and `fromExpression` in Artifact")


def _check_argument(where: str, parameter: Object, may_be_empty: bool) -> None:
    source, value = parameter.get("valueFrom"), parameter.get("value")
    if source is None and value is None and not may_be_empty:
        raise Invalid(f"{where}.value or {where}.valueFrom is required")
    if source is not None:
        allowed = source.get("configMapKeyRef") or source.get("event") or source.get("supplied") is not None
        if not allowed or any(source.get(k) for k in ("path", "jsonPath", "parameter", "expression")):
            raise Invalid(f"{where}.valueFrom only allows: default, configMapKeyRef and supplied")
    choices = parameter.get("enum")
    if choices is None:
        return
    if not choices:
        raise Invalid(f"{where}.enum should contain at least one value")
    if value is None:
        if not may_be_empty:
            raise Invalid(f"{where}.value is required")
        return
    if go_text.text(value) not in [go_text.text(choice) for choice in choices]:
        raise Invalid(f"{where}.value should be present in {where}.enum list")


def check_hooks(hooks: Object | None, where: str) -> None:
    for name, hook in (hooks or {}).items():
        if name != "exit" and not hook.get("expression"):
            raise Invalid(f"{where}.{name} Expression required")
