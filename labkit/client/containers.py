"""What a Pod object says of its containers: their statuses, which one waits, and what to call it."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
ON_ITS_WAY = (None, "ContainerCreating", "PodInitializing")
# What Argo adds to a step's pod: what went wrong in the step's own container says more.
ARGOS = ("init", "wait")
OF_ARGO = "workflows.argoproj.io/workflow"


def statuses(found: Object) -> list[Object]:
    """The status of each container, those that prepare the pod first, Argo's last."""
    status = found.get("status") or {}
    own = sorted(status.get("containerStatuses") or [], key=lambda each: each.get("name") == ARGOS[1])
    return [*(status.get("initContainerStatuses") or []), *own]


def in_the_way(found: Object) -> tuple[Object, Object] | None:
    """(status, why) of the first container that can't start or not stay, `why` with its reason and message."""
    for status in statuses(found):
        why = (status.get("state") or {}).get("waiting") or {}
        if why.get("reason") not in ON_ITS_WAY:
            return status, why
    return None


def failed(found: Object) -> tuple[Object, Object] | None:
    """(status, end) of the first container that ended with another exit code than 0."""
    for status in statuses(found):
        end = (status.get("state") or {}).get("terminated") or {}
        if end.get("exitCode"):
            return status, end
    return None


def called(found: Object, status: Object) -> str:
    """`container NAME`, where the pod has several of its own; '' where it is clear which one is meant."""
    spec, name = found.get("spec") or {}, status.get("name")
    every = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    if OF_ARGO in ((found.get("metadata") or {}).get("labels") or {}):
        every = [each for each in every if each.get("name") not in ARGOS]
    return f"container {name}" if name and len(every) > 1 else ""
