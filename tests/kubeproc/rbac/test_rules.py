"""Rules: what one allows, what covers what, and how missing rights are told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeproc.rbac.rules import Attributes, Rule, described, missing

VERBS, GROUPS, NAMES = ["get", "list", "create", "*"], ["", "apps", "*"], ["a", "b"]
RESOURCES = ["pods", "pods/log", "deployments", "*/log", "*/scale", "*"]
RULES = st.fixed_dictionaries(
    {
        "verbs": st.lists(st.sampled_from(VERBS), min_size=1, max_size=3, unique=True),
        "apiGroups": st.lists(st.sampled_from(GROUPS), min_size=1, max_size=2, unique=True),
        "resources": st.lists(st.sampled_from(RESOURCES), min_size=1, max_size=3, unique=True),
    },
    optional={"resourceNames": st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True)},
)
REQUESTS = st.builds(
    lambda verb, group, what, name: Attributes(verb, group, what[0], what[1], "ns", name),
    st.sampled_from(VERBS[:3]),
    st.sampled_from(GROUPS[:2]),
    st.sampled_from([("pods", ""), ("pods", "log"), ("deployments", ""), ("deployments", "scale")]),
    st.sampled_from([*NAMES, ""]),
)


@pytest.mark.parametrize(
    ("rule", "verb", "group", "resource", "subresource", "name", "yes"),
    [
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, "get", "", "pods", "", "p", True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, "list", "", "pods", "", "", False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, "get", "", "pods", "log", "p", False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, "get", "apps", "pods", "", "p", False),
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, "patch", "x", "y", "z", "", True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}, "get", "", "pods", "log", "p", True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}, "get", "", "pods", "", "p", False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"]},
         "get", "", "pods", "", "p", True),
        ({"verbs": ["create"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"]},
         "create", "", "pods", "", "", False),
    ],
)  # fmt: skip
def test_a_rule_allows_what_it_names(
    rule: dict[str, Any], verb: str, group: str, resource: str, subresource: str, name: str, yes: bool
) -> None:
    assert Rule.of(rule).allows(Attributes(verb, group, resource, subresource, "ns", name)) is yes


@pytest.mark.parametrize(
    ("url", "path", "yes"),
    [
        ("/healthz", "/healthz", True),
        ("/healthz", "/healthz/x", False),
        ("/healthz/*", "/healthz/x", True),
        ("*", "/x", True),
    ],
)
def test_a_rule_of_addresses(url: str, path: str, yes: bool) -> None:
    rule = Rule.of({"verbs": ["get"], "nonResourceURLs": [url]})
    assert rule.allows(Attributes("get", path=path)) is yes
    assert not rule.allows(Attributes("post", path=path))


@given(st.lists(RULES, max_size=3), RULES, REQUESTS)
def test_no_missing_permissions_means_that_all_are_allowed(
    held: list[dict[str, Any]], wanted: dict[str, Any], request: Attributes
) -> None:
    own = [Rule.of(rule) for rule in held]
    if not missing(own, [wanted]) and Rule.of(wanted).allows(request):
        assert any(rule.allows(request) for rule in own)


@given(RULES, st.lists(RULES, max_size=2))
def test_held_rules_are_never_missing(rule: dict[str, Any], others: list[dict[str, Any]]) -> None:
    assert missing([Rule.of(r) for r in (*others, rule)], [rule]) == []


def test_missing_permissions_are_listed_by_resource_with_all_verbs() -> None:
    held = [Rule.of({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]})]
    wanted = [
        {"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["pods", "secrets"]},
        {"verbs": ["get"], "nonResourceURLs": ["/metrics"]},
    ]
    assert described(missing(held, wanted)) == [
        '{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}',
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list" "watch"]}',
        '{NonResourceURLs:["/metrics"], Verbs:["get"]}',
    ]
