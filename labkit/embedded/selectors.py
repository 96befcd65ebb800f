"""Label and field selectors, parsed once and matched against many objects.

Grammar of labels: `a=b`, `a==b`, `a!=b`, `a in (x,y)`, `a notin (x,y)`, `a`, `!a`, joined by commas (all must hold).
As in Kubernetes `!=` and `notin` also match objects without the label. Fields: `path=value`, `path!=value`; which paths
a kind has is fixed, another one is refused (400).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from labkit.embedded.status import bad_request

Match = Callable[[Mapping[str, Any]], bool]

_KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(\s*({_VALUE}(?:\s*,\s*{_VALUE})*)\s*\)$")
_EQUAL = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})$")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})$")

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


def _split(text: str) -> list[str]:
    """Split at commas that are outside of parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text)]


def _requirement(text: str) -> Match:
    if m := _SET.match(text):
        key, word, values = m[1], m[2], {v.strip() for v in m[3].split(",")}
        if word == "in":
            return lambda labels: key in labels and labels[key] in values
        return lambda labels: key not in labels or labels[key] not in values
    if m := _EQUAL.match(text):
        key, sign, value = m[1], m[2], m[3]
        if sign == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if m := _EXISTS.match(text):
        wanted, key = not m[1], m[2]
        return lambda labels: (key in labels) is wanted
    raise bad_request(f'unable to parse requirement: couldn\'t parse the selector string "{text}"')


def labels(text: str | None) -> Match | None:
    """A predicate over objects from a `labelSelector` string; None when the string selects everything."""
    if not text or not text.strip():
        return None
    needs = [_requirement(part) for part in _split(text)]

    def match(obj: Mapping[str, Any]) -> bool:
        have = obj.get("metadata", {}).get("labels") or {}
        return all(need(have) for need in needs)

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
    needs: list[tuple[str, bool, str]] = []
    for part in text.split(","):
        m = re.match(r"\s*([A-Za-z0-9_.]+)\s*(==|=|!=)(.*)$", part)
        if not m:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        path, equal, value = m[1], m[2] != "!=", m[3].strip()
        if path not in _ALWAYS and path not in FIELDS.get(resource, ()):
            raise bad_request(f"field label not supported: {path}")
        needs.append((path, equal, value))
    return lambda obj: all((_value_at(obj, path) == value) is equal for path, equal, value in needs)


def both(a: Match | None, b: Match | None) -> Match | None:
    """The conjunction of two optional predicates."""
    if a is None or b is None:
        return a or b
    return lambda obj: a(obj) and b(obj)
