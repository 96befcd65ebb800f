"""Deployments and ReplicaSets: defaults, an immutable selector that matches the template, valid strategies."""

from __future__ import annotations

import re
from typing import Any

from kubeproc import selectors
from kubeproc.admission.causes import IMMUTABLE, Causes
from kubeproc.admission.pod_checks import check_spec
from kubeproc.admission.pod_defaults import default_spec, fill
from kubeproc.admission.refusals import refuse_spec
from kubeproc.api_errors import ApiError
from kubeproc.resources import DEPLOYMENTS, REPLICASETS, Resource
from kubeproc.store import Object, Store

_PERCENT = re.compile(r"[0-9]+%$")


def default(store: Store, obj: Object, old: Object | None) -> None:
    spec = obj.setdefault("spec", {})
    fill(spec, {"replicas": 1, "template": {}})
    default_template(spec["template"], obj["kind"])
    if obj["kind"] != DEPLOYMENTS.kind:
        if old is None:
            obj["status"] = {"replicas": 0}
        return
    fill(spec, {"strategy": {}, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600})
    strategy = spec["strategy"]
    fill(strategy, {"type": "RollingUpdate"})
    if strategy["type"] == "RollingUpdate":
        fill(strategy, {"rollingUpdate": {}})
        fill(strategy["rollingUpdate"], {"maxUnavailable": "25%", "maxSurge": "25%"})
    elif strategy.get("rollingUpdate") is None:
        strategy.pop("rollingUpdate", None)
    if old is None:
        obj["status"] = {}


def default_template(template: Object, kind: str) -> None:
    """Defaults of a pod template."""
    meta = template.get("metadata")
    if meta is None:
        template["metadata"] = {}
    fill(template, {"spec": {}})
    default_spec(template["spec"], kind, template=True)


def validate(store: Store, obj: Object, old: Object | None) -> None:
    resource = DEPLOYMENTS if obj["kind"] == DEPLOYMENTS.kind else REPLICASETS
    causes, spec = Causes(), obj["spec"]
    causes.not_negative("spec.replicas", spec["replicas"])
    causes.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    _selector(causes, resource, spec)
    check_template(causes, spec["template"], ("Always",), "Deployment" if resource is DEPLOYMENTS else "ReplicaSet")
    if resource is DEPLOYMENTS:
        _strategy(causes, spec["strategy"])
        causes.not_negative("spec.revisionHistoryLimit", spec["revisionHistoryLimit"])
        deadline = spec["progressDeadlineSeconds"]
        causes.not_negative("spec.progressDeadlineSeconds", deadline)
        if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
            causes.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
    if old is not None and spec.get("selector") != old["spec"].get("selector"):
        causes.invalid("spec.selector", spec.get("selector"), IMMUTABLE)
    causes.settle(resource, obj["metadata"]["name"])
    refuse_spec(spec, f"{resource.kind}Spec")


def _selector(causes: Causes, resource: Resource, spec: Object) -> None:
    selector = spec.get("selector")
    if not selector:
        if selector is None:
            causes.required("spec.selector")
            _labels_differ(causes, spec["template"])
        else:
            causes.invalid("spec.selector", selector, "empty selector is invalid for deployment")
        return
    check_selector(causes, selector, spec["template"])


def check_selector(causes: Causes, selector: Object, template: Object) -> None:
    """A well-formed LabelSelector that matches the template's labels."""
    causes.labels("spec.selector.matchLabels", selector.get("matchLabels"))
    for i, expression in enumerate(selector.get("matchExpressions") or ()):
        if expression.get("operator") not in ("In", "NotIn", "Exists", "DoesNotExist"):
            path = f"spec.selector.matchExpressions[{i}].operator"
            causes.invalid(path, expression.get("operator", ""), "not a valid selector operator")
    try:
        matches = selectors.from_spec(selector)(template)
    except (ApiError, KeyError):
        causes.invalid("spec.selector", selector, "invalid label selector")
        return
    if not matches:
        _labels_differ(causes, template)


def _labels_differ(causes: Causes, template: Object) -> None:
    labels = template["metadata"].get("labels") or None
    causes.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")


def check_template(causes: Causes, template: Object, restarts: tuple[str, ...], kind: str) -> None:
    """A pod template at `spec.template`, with one of the restart policies that its owner allows."""
    causes.labels("spec.template.labels", template["metadata"].get("labels"))
    check_spec(causes, template["spec"], "spec.template.spec")
    policy = template["spec"]["restartPolicy"]
    if kind == "Job" and policy not in restarts:
        causes.required("spec.template.spec.restartPolicy", "valid values: " + ", ".join(f'"{r}"' for r in restarts))
    else:
        causes.one_of("spec.template.spec.restartPolicy", policy, restarts)
    if "Always" in restarts and template["spec"].get("activeDeadlineSeconds") is not None:
        words = "activeDeadlineSeconds in ReplicaSet is not Supported"
        causes.forbidden("spec.template.spec.activeDeadlineSeconds", words)


def _strategy(causes: Causes, strategy: Object) -> None:
    rolling: Any = strategy.get("rollingUpdate")
    if strategy["type"] not in ("Recreate", "RollingUpdate"):
        shown = {"Type": strategy["type"], "RollingUpdate": rolling}  # upstream prints its own struct
        causes.unsupported("spec.strategy", shown, ("Recreate", "RollingUpdate"))
    if strategy["type"] == "Recreate" and rolling is not None:
        words = "may not be specified when strategy `type` is 'Recreate'"
        causes.forbidden("spec.strategy.rollingUpdate", words)
    if strategy["type"] != "RollingUpdate":
        return
    path = "spec.strategy.rollingUpdate"
    fine = [_int_or_percent(causes, f"{path}.{n}", rolling[n]) for n in ("maxUnavailable", "maxSurge")]
    if all(fine) and not scaled(rolling["maxUnavailable"], 100) and not scaled(rolling["maxSurge"], 100):
        causes.invalid(f"{path}.maxUnavailable", rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0")
    elif fine[0] and isinstance(rolling["maxUnavailable"], str) and scaled(rolling["maxUnavailable"], 100) > 100:
        causes.invalid(f"{path}.maxUnavailable", rolling["maxUnavailable"], "must not be greater than 100%")


def _int_or_percent(causes: Causes, path: str, value: Any) -> bool:
    if isinstance(value, str) and not _PERCENT.match(value):
        words = (
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex "
            "used for validation is '[0-9]+%')"
        )
        causes.invalid(path, value, words)
        return False
    if isinstance(value, int) and value < 0:
        causes.not_negative(path, value)
        return False
    return True


def scaled(value: int | str, total: int, *, up: bool = False) -> int:
    """A number, or a percentage of `total`, rounded down or `up`."""
    if isinstance(value, int):
        return value
    share = int(value.rstrip("%")) * total
    return -(-share // 100) if up else share // 100
