"""A pod's row in `kubectl get pods`: its STATUS is a summary of phase, reasons and every container's state.

The order of the rules matters and is that of printPod (pkg/printers/internalversion/printers.go): the pod's own
reason, then the first init container that is not done (`Init:0/2`, `Init:Error`), then the containers from
the last to the first, then deletion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeproc.api.tables.ages import age

Cells = list[Any]


def cells(pod: Mapping[str, Any]) -> Cells:
    """NAME, READY, STATUS, RESTARTS, AGE and the wide columns IP, NODE, NOMINATED NODE, READINESS GATES."""
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    ready, total, reason, restarts = summary(pod)
    addresses = status.get("podIPs") or []
    return [
        meta["name"],
        f"{ready}/{total}",
        reason,
        restarts,
        age(meta.get("creationTimestamp")),
        (addresses[0].get("ip") if addresses else "") or status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        _gates(spec, status),
    ]


def summary(pod: Mapping[str, Any]) -> tuple[int, int, str, str]:
    """(ready containers, containers, the STATUS word, the RESTARTS text)."""
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    phase = status.get("phase") or ""
    reason = status.get("reason") or phase
    if conditions.get("PodScheduled", {}).get("reason") == "SchedulingGated":
        reason = "SchedulingGated"

    init = {c["name"]: c for c in spec.get("initContainers") or []}
    sidecars = {name for name, c in init.items() if c.get("restartPolicy") == "Always"}
    total = len(spec.get("containers") or []) + len(sidecars)
    init_statuses = status.get("initContainerStatuses") or []
    initializing, ready = None, 0
    for number, container in enumerate(init_statuses):
        if _is_done(container, sidecars):
            ready += bool(container["name"] in sidecars and container.get("ready") and not _ended(container))
            continue
        initializing = _init_reason(container, number, len(init))
        init_statuses = init_statuses[: number + 1]
        break

    counted = init_statuses
    if initializing is not None:
        reason = initializing
    if initializing is None or conditions.get("Initialized", {}).get("status") == "True":
        statuses = status.get("containerStatuses") or []
        counted = [c for c in init_statuses if c["name"] in sidecars] + statuses
        running = False
        for container in reversed(statuses):
            said = _reason(container)
            if said:
                reason = said
            elif container.get("ready") and (container.get("state") or {}).get("running") is not None:
                running = True
                ready += 1
        if reason == "Completed" and running:
            reason = "Running" if conditions.get("Ready", {}).get("status") == "True" else "NotReady"

    if meta.get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif phase not in ("Succeeded", "Failed"):
            reason = "Terminating"
    return ready, total, reason, _restarts(counted)


def _ended(container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return (container.get("state") or {}).get("terminated")


def _is_done(container: Mapping[str, Any], sidecars: set[str]) -> bool:
    """Whether the init container lets the next one start: it succeeded, or is a sidecar that has started."""
    ended = _ended(container)
    if ended is not None and not ended.get("exitCode"):
        return True
    return container["name"] in sidecars and bool(container.get("started"))


def _init_reason(container: Mapping[str, Any], number: int, count: int) -> str:
    waiting = ((container.get("state") or {}).get("waiting") or {}).get("reason")
    if _ended(container) is not None or (waiting and waiting != "PodInitializing"):
        return f"Init:{_reason(container)}"
    return f"Init:{number}/{count}"


def _reason(container: Mapping[str, Any]) -> str:
    """The reason why the container does not run; empty if it runs."""
    state = container.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated")
    if waiting.get("reason"):
        return str(waiting["reason"])
    if ended is None:
        return ""
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def _restarts(containers: list[Mapping[str, Any]]) -> str:
    count = sum(c.get("restartCount") or 0 for c in containers)
    ends = [((c.get("lastState") or {}).get("terminated") or {}).get("finishedAt") for c in containers]
    last = max((e for e in ends if e), default="")
    return f"{count} ({age(last)} ago)" if count and last else str(count)


def _gates(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    gates = spec.get("readinessGates") or []
    if not gates:
        return "<none>"
    states = {c["type"]: c.get("status") for c in status.get("conditions") or []}
    return f"{sum(states.get(g['conditionType']) == 'True' for g in gates)}/{len(gates)}"
