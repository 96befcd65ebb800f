"""A pod's quality of service class, derived from its resources: set by the API server at creation, then by the
kubelet."""

from __future__ import annotations

from typing import Any

from kubeproc import quantity

COUNTED = ("cpu", "memory")


def quality(spec: dict[str, Any]) -> str:
    """`status.qosClass`: BestEffort if the pod has no requests or limits, Guaranteed if every container's CPU and
    memory limits equal its requests, else Burstable."""
    asked, guaranteed = False, True
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        limits, requests = _above_zero(limits), _above_zero(limits | requests)
        asked = asked or bool(requests or limits)
        guaranteed = guaranteed and len(limits) == len(COUNTED) and requests == limits
    return "BestEffort" if not asked else "Guaranteed" if guaranteed else "Burstable"


def _above_zero(amounts: dict[str, Any]) -> dict[str, Any]:
    found = {name: quantity.parse(value) for name, value in amounts.items() if name in COUNTED}
    return {name: value for name, value in found.items() if value > 0}
