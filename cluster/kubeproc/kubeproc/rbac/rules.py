"""PolicyRules: what they allow, and whether some rules cover others.

`Attributes` are a request as an authorizer sees it; a rule of a Role allows it when verb, API group, resource (with its
subresource) and name all match, each by a star or by itself. Sources: rbac.go's RuleAllows and component-helpers'
auth/rbac/validation (what a rule covers), whose texts about missing rights are kept as well.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

Object = dict[str, Any]
ALL = "*"


class Attributes(NamedTuple):
    """A request: for a resource, or (`path` not empty) for something else that the server answers to."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def combined(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class Rule:
    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str]
    urls: tuple[str, ...]

    @staticmethod
    def of(rule: Object) -> Rule:
        """The rule of a Role."""
        verbs, groups, resources, names = (
            frozenset(rule.get(k) or ()) for k in ("verbs", "apiGroups", "resources", "resourceNames")
        )
        return Rule(verbs, groups, resources, names, tuple(rule.get("nonResourceURLs") or ()))

    def allows(self, wanted: Attributes) -> bool:
        if not (wanted.verb in self.verbs or ALL in self.verbs):
            return False
        if wanted.path:
            return any(_matches(url, wanted.path) for url in self.urls)
        return (
            (wanted.group in self.groups or ALL in self.groups)
            and self._has(wanted.combined)
            and (not self.names or wanted.name in self.names)
        )

    def _has(self, resource: str) -> bool:
        if ALL in self.resources or resource in self.resources:
            return True
        _, slash, subresource = resource.partition("/")
        return bool(slash) and f"*/{subresource}" in self.resources

    def covers(self, one: Rule) -> bool:
        """Whether this rule allows all that `one`, of at most one verb, resource and name, allows."""
        return (
            (ALL in self.verbs or one.verbs <= self.verbs)
            and (ALL in self.groups or one.groups <= self.groups)
            and all(self._has(resource) for resource in one.resources)
            and all(any(_matches(own, url) for own in self.urls) for url in one.urls)
            and (not self.names or (bool(one.names) and one.names <= self.names))
        )


def _matches(url: str, path: str) -> bool:
    return url in (ALL, path) or (url.endswith("*") and path.startswith(url.rstrip("*")))


def _single(rule: Object) -> list[Object]:
    """The rule as rules of one group, resource, verb and name each."""
    verbs = rule.get("verbs") or []
    names = rule.get("resourceNames") or [None]
    found: list[Object] = []
    for group, resource, verb, name in itertools.product(
        rule.get("apiGroups") or [], rule.get("resources") or [], verbs, names
    ):
        one = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        found.append(one if name is None else one | {"resourceNames": [name]})
    return found + [{"nonResourceURLs": [u], "verbs": [v]} for u in rule.get("nonResourceURLs") or [] for v in verbs]


def missing(held: Iterable[Rule], wanted: Iterable[Object]) -> list[Object]:
    """The `wanted` rules that no `held` rule covers."""
    owned = list(held)
    singles = (one for rule in wanted for one in _single(rule))
    return [one for one in singles if not any(rule.covers(Rule.of(one)) for rule in owned)]


def described(rules: Iterable[Object]) -> list[str]:
    """Single rules as an error message lists them: grouped by resource and name, sorted."""
    together: dict[str, Object] = {}
    for rule in rules:
        about = {k: v for k, v in rule.items() if k != "verbs" or "nonResourceURLs" in rule}
        together.setdefault(json.dumps(about), rule | {"verbs": []})["verbs"] += rule["verbs"]
    return sorted({_compact(rule) for rule in together.values()})


def _compact(rule: Object) -> str:
    fields = {"APIGroups": "apiGroups", "Resources": "resources", "NonResourceURLs": "nonResourceURLs",
              "ResourceNames": "resourceNames", "Verbs": "verbs"}  # fmt: skip
    return "{" + ", ".join(f"{word}:{go_list(rule[key])}" for word, key in fields.items() if rule.get(key)) + "}"


def go_list(texts: Iterable[str]) -> str:
    """A list of strings as Go prints it with %q."""
    return "[" + " ".join(json.dumps(text, ensure_ascii=False) for text in texts) + "]"
