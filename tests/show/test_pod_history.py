"""What a Pod object that is seen late says of the pod's life."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.plotting import Pod
from labkit.plotting.labels import moment
from labkit.show.pod_history import observe

BEGUN, ENDED, SEEN = (f"2026-03-01T12:{minute}:00Z" for minute in ("00", "01", "30"))
LOST = {"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": BEGUN}  # its kubelet was away: no finishedAt
READY = {"type": "Ready", "status": "False", "reason": "PodFailed", "lastTransitionTime": ENDED}


def failed(terminated: dict[str, Any], conditions: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "uid": "u", "creationTimestamp": BEGUN},
        "spec": {"containers": [{"name": "main"}]},
        "status": {
            "phase": "Failed",
            "conditions": conditions,
            "containerStatuses": [{"name": "main", "state": {"terminated": terminated}}],
        },
    }


@pytest.mark.parametrize(
    ("terminated", "conditions", "ended"),
    [
        (LOST | {"finishedAt": ENDED}, [], ENDED),
        (LOST, [READY], ENDED),
        (LOST | {"finishedAt": ENDED}, [READY | {"lastTransitionTime": SEEN}], ENDED),
        (LOST, [], SEEN),
    ],
    ids=["as its container says", "when it was no longer ready", "the container knows better", "nobody says"],
)
def test_a_pod_that_failed_before_anybody_watched_ends_when_it_did(
    terminated: dict[str, Any], conditions: list[dict[str, Any]], ended: str
) -> None:
    pod = Pod("u", "p")
    observe(pod, failed(terminated, conditions), now=moment(SEEN))
    assert pod.changes[-1] == (moment(ended), "Failed")
