"""Label and field selectors, parsed once and matched against many objects.

Grammar of labels: `a=b`, `a==b`, `a!=b`, `a in (x,y)`, `a notin (x,y)`, `a`, `!a`, `a>1`, `a<1`, joined by commas (all
must hold). As in Kubernetes `!=` and `notin` also match objects without the label. Fields: `path=value`, `path!=value`;
each kind has a fixed set of paths, and any other path is a 400.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from kubeproc.api_errors import ApiError, bad_request

Match = Callable[[Mapping[str, Any]], bool]

_TOKEN = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)")
_OPERATORS = ("in", "notin", "=", "==", "!=", ">", "<")
_SPECIAL = frozenset("=!(),<>") | {"==", "!="}
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_KEY = re.compile(rf"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?{_QUALIFIED}")
_VALUE = re.compile(rf"({_QUALIFIED})?")
_KEY_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)
_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'({_QUALIFIED})?')"
)

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


class _Parser:
    """The recursive descent of k8s.io/apimachinery/pkg/labels, with its error messages."""

    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def requirements(self) -> list[Match]:
        found: list[Match] = []
        while token := self.peek():
            if token in _SPECIAL and token != "!":
                raise bad_request(f"found '{token}', expected: !, identifier, or 'end of string'")
            found.append(self.requirement())
            after = self.take()
            if after == "," and ((following := self.peek()) in _SPECIAL - {"!"} or not following):
                raise bad_request(f"found '{following}', expected: identifier after ','")
            if after not in (",", ""):
                raise bad_request(f"found '{after}', expected: ',' or 'end of string'")
        return found

    def requirement(self) -> Match:
        wanted = self.peek() != "!"
        if not wanted:
            self.take()
        key = self.identifier()
        if not _KEY.fullmatch(key):
            raise _unparsed(f'key: Invalid value: "{key}": {_KEY_WORDS}')
        if self.peek() in (",", "") or not wanted:
            return lambda labels: (key in labels) is wanted
        operator = self.take()
        if operator not in _OPERATORS:
            raise _unparsed(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")
        values = self.values() if operator in ("in", "notin") else [self.exact()]
        for i, value in enumerate(values):
            if not _VALUE.fullmatch(value):
                raise _unparsed(f'values[{i}][{key}]: Invalid value: "{value}": {_VALUE_WORDS}')
        return _test(key, operator, values)

    def identifier(self) -> str:
        token = self.take()
        if token in _SPECIAL or not token:
            raise _unparsed(f"found '{token}', expected: identifier")
        return token

    def exact(self) -> str:
        return "" if self.peek() in (",", "") else self.identifier()

    def values(self) -> list[str]:
        if (token := self.take()) != "(":
            raise _unparsed(f"found '{token}' expected: '('")
        found = []
        while True:
            found.append("" if self.peek() in (",", ")") else self.listed())
            if (token := self.take()) == ")":
                return found
            if token != ",":
                raise _unparsed(f"found '{token}', expected: ',' or ')'")

    def listed(self) -> str:
        token = self.take()
        if token in _SPECIAL or not token:
            raise _unparsed(f"found '{token}', expected: ',', ')' or identifier")
        return token


def _unparsed(words: str) -> ApiError:
    return bad_request(f"unable to parse requirement: {words}")


def _test(key: str, operator: str, values: list[str]) -> Match:
    if operator in (">", "<"):
        if not re.fullmatch(r"[+-]?\d+", values[0]):
            words = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise _unparsed(f'values[0]: Invalid value: "{values[0]}": {words}')
        limit, more = int(values[0]), operator == ">"
        return lambda labels: (
            _number(labels.get(key)) is not None and (int(labels[key]) > limit if more else int(labels[key]) < limit)
        )
    if operator in ("in", "=", "=="):
        return lambda labels: key in labels and labels[key] in values
    return lambda labels: key not in labels or labels[key] not in values


def _number(value: str | None) -> int | None:
    return int(value) if value is not None and re.fullmatch(r"[+-]?\d+", value) else None


def labels(text: str | None) -> Match | None:
    """A predicate over objects from a `labelSelector` string; None when the string selects everything."""
    if not text or not text.strip():
        return None
    needs = _Parser(text).requirements()

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
