"""Label and field selectors, parsed once and matched against many objects.

All requirements of a label selector must hold; `!=` and `notin` also match objects without the label, as in Kubernetes. Fields:
`path=value`, `path!=value`; each kind has a fixed set of paths, and any other path is a 400.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from kubeproc import label_requirements
from kubeproc.api_errors import bad_request

Match = Callable[[Mapping[str, Any]], bool]

# A field selector: terms between commas, each with a path and a value in which a backslash escapes itself, "," and "=".
_TERMS = re.compile(r"(?:\\.|[^\\,]|\\\Z)+", re.DOTALL)
_TERM = re.compile(r"((?:(?!!=|=).)*)(!=|==|=)(.*)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.?)|=", re.DOTALL)

FIELDS: dict[str, frozenset[str]] = {
    "pods": frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        }
    ),
    "events": frozenset(
        {
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        }
    ),
    "namespaces": frozenset({"status.phase"}),
    "nodes": frozenset({"spec.unschedulable"}),
    "secrets": frozenset({"type"}),
    "jobs.batch": frozenset({"status.successful"}),
    "services": frozenset({"spec.clusterIP", "spec.type"}),
}
_ALWAYS = frozenset({"metadata.name", "metadata.namespace"})


def labels(text: str | None) -> Match | None:
    """A predicate over objects from a `labelSelector` string; None when the string selects everything."""
    if not text or not text.strip():
        return None
    try:
        needs = label_requirements.parse(text)
    except label_requirements.RequirementError as error:
        raise bad_request(str(error)) from None

    def match(obj: Mapping[str, Any]) -> bool:
        have = obj.get("metadata", {}).get("labels") or {}
        return all(need.holds(have.get(need.key)) for need in needs)

    return match


def from_spec(selector: Mapping[str, Any] | None) -> Match:
    """A predicate over objects from a `LabelSelector` object (matchLabels, matchExpressions); empty matches all."""
    needs: list[Match] = []
    for key, value in ((selector or {}).get("matchLabels") or {}).items():
        needs.append(lambda have, k=key, v=value: have.get(k) == v)  # type: ignore[misc]
    for e in (selector or {}).get("matchExpressions") or []:
        key, op, values = e["key"], e["operator"], set(e.get("values") or [])
        tests: dict[str, Match] = {
            "In": lambda have, k=key, v=values: k in have and have[k] in v,  # type: ignore[misc]
            "NotIn": lambda have, k=key, v=values: k not in have or have[k] not in v,  # type: ignore[misc]
            "Exists": lambda have, k=key: k in have,  # type: ignore[misc]
            "DoesNotExist": lambda have, k=key: k not in have,  # type: ignore[misc]
        }
        if op not in tests:
            raise bad_request(f'"{op}" is not a valid label selector operator')
        needs.append(tests[op])

    def match(obj: Mapping[str, Any]) -> bool:
        have = obj.get("metadata", {}).get("labels") or {}
        return all(need(have) for need in needs)

    return match


def _value_at(obj: Mapping[str, Any], path: str) -> str:
    here: Any = obj
    if path == "source":
        path = "source.component"
    for part in path.split("."):
        here = here.get(part) if isinstance(here, Mapping) else None
    if isinstance(here, bool):
        return "true" if here else "false"
    return "" if here is None else str(here)


def fields(resource: str, text: str | None) -> Match | None:
    """A predicate from a `fieldSelector` string for the resource of that qualified name; None selects everything."""
    if not text or not text.strip():
        return None
    # As upstream: empty terms are skipped, and the first error is that of the first term in alphabetical order.
    terms = [_field_term(text, term) for term in sorted(_TERMS.findall(text))]
    needs = [term for term in terms if term[0] or term[2]]
    for path, _, _ in needs:
        if path not in _ALWAYS and path not in FIELDS.get(resource, ()):
            raise bad_request(_unknown(resource, path))
    if not needs:
        return None
    return lambda obj: all((_value_at(obj, path) == value) is equal for path, equal, value in needs)


def _field_term(text: str, term: str) -> tuple[str, bool, str]:
    """The path, the operator (True for equality) and the value of one term, as k8s.io/apimachinery/pkg/fields parses
    it."""
    parts = _TERM.fullmatch(term)
    if parts is None:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
    return parts[1], parts[2] != "!=", _ESCAPED.sub(_unescape, parts[3])


def _unescape(found: re.Match[str]) -> str:
    if found[0] == "=":
        raise bad_request(f"invalid field selector: unescaped character in value: {ord('=')}")
    if found[1] not in ("\\", ",", "="):
        raise bad_request(f"invalid field selector: invalid escape sequence: {found[0]}")
    return found[1]


def _unknown(resource: str, path: str) -> str:
    """The error text differs between kinds with fields of their own and kinds that have only the two common ones."""
    if resource in FIELDS:
        return f"field label not supported: {path}"
    if "." in resource and not resource.endswith((".apps", ".batch", ".k8s.io")):
        return f"field label not supported: {path}"  # a custom resource
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def both(a: Match | None, b: Match | None) -> Match | None:
    """The conjunction of two optional predicates."""
    if a is None or b is None:
        return a or b
    return lambda obj: a(obj) and b(obj)
