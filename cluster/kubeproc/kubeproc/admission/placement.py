"""Validation of a pod's affinity, anti-affinity and topology spread constraints."""

from __future__ import annotations

from collections.abc import Iterable

from kubeproc.admission.causes import Causes, qualified_errors
from kubeproc.store import Object

WHEN = ("DoNotSchedule", "ScheduleAnyway")
POLICIES = ("Honor", "Ignore")
KINDS = ("podAffinity", "podAntiAffinity")
REQUIRED, PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)
_POSITIVE = "must be greater than zero"


def check_placement(causes: Causes, spec: Object, path: str) -> None:
    _spreading(causes, spec.get("topologySpreadConstraints") or [], f"{path}.topologySpreadConstraints")
    for kind in KINDS:
        rules, where = (spec.get("affinity") or {}).get(kind) or {}, f"{path}.affinity.{kind}"
        _terms(causes, rules.get(REQUIRED) or (), f"{where}.{REQUIRED}")
        for i, entry in enumerate(rules.get(PREFERRED) or ()):
            here = f"{where}.{PREFERRED}[{i}]"
            if not 1 <= entry.get("weight", 0) <= 100:
                causes.invalid(f"{here}.weight", entry.get("weight", 0), "must be in the range 1-100")
            _term(causes, entry.get("podAffinityTerm") or {}, f"{here}.podAffinityTerm")


def _spreading(causes: Causes, rules: list[Object], path: str) -> None:
    for i, rule in enumerate(rules):
        here, key, when = f"{path}[{i}]", rule.get("topologyKey"), rule.get("whenUnsatisfiable", "")
        if rule.get("maxSkew", 0) <= 0:
            causes.invalid(f"{here}.maxSkew", rule.get("maxSkew", 0), _POSITIVE)
        if not key:
            causes.required(f"{here}.topologyKey", "can not be empty")
        causes.one_of(f"{here}.whenUnsatisfiable", when, WHEN)
        if any(
            (other.get("topologyKey"), other.get("whenUnsatisfiable", "")) == (key, when) for other in rules[i + 1 :]
        ):
            causes.duplicate(f"{here}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {when}}}")
        if (least := rule.get("minDomains")) is not None:
            if least <= 0:
                causes.invalid(f"{here}.minDomains", least, _POSITIVE)
            if when != "DoNotSchedule":
                words = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}"
                causes.invalid(f"{here}.minDomains", least, words)
        for policy in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if policy in rule:
                causes.one_of(f"{here}.{policy}", rule[policy], POLICIES)


def _terms(causes: Causes, terms: Iterable[Object], path: str) -> None:
    for i, term in enumerate(terms):
        _term(causes, term, f"{path}[{i}]")


def _term(causes: Causes, term: Object, path: str) -> None:
    key = term.get("topologyKey", "")
    if not key:
        causes.required(f"{path}.topologyKey", "can not be empty")
    for words in qualified_errors(key):
        causes.invalid(f"{path}.topologyKey", key, words)
