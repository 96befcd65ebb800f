"""Which container of a pod waits or has failed, and when its name is worth a word."""

from __future__ import annotations

from typing import Any

from labkit.checks import pods as checked
from labkit.client import containers
from labkit.show import pod_history as shown

Object = dict[str, Any]


def status(name: str, **state: Object) -> Object:
    return {"name": name, "state": state}


def pod(*statuses: Object, phase: str = "Failed", labels: dict[str, str] | None = None) -> Object:
    names = [{"name": each["name"]} for each in statuses]
    meta = {"name": "p", "labels": labels or {}}
    return {
        "metadata": meta,
        "spec": {"containers": names},
        "status": {"phase": phase, "containerStatuses": [*statuses]},
    }


FINE, BAD = {"exitCode": 0}, {"exitCode": 3, "reason": "Error"}
WAITS = {"reason": "ErrImagePull", "message": "no such tag"}


def test_the_one_of_two_containers_that_failed_is_named_wherever_the_reason_is_said() -> None:
    two = pod(status("a", terminated=FINE), status("b", terminated=BAD))
    assert shown.why(two) == "container b: exit code 3"
    assert checked.why_not(two) == "its container b ended with exit code 3"
    assert shown.why(pod(status("b", terminated=BAD))) == "exit code 3"


def test_the_one_of_two_containers_that_waits_is_named_wherever_the_reason_is_said() -> None:
    two = pod(status("a", running={}), status("b", waiting=WAITS), phase="Pending")
    assert shown.why(two) == checked.stuck(two) == checked.why_not(two) == "container b: ErrImagePull: no such tag"
    one = pod(status("b", waiting=WAITS), phase="Pending")
    assert shown.why(one) == checked.stuck(one) == "ErrImagePull: no such tag"


def test_what_argo_adds_to_a_step_is_not_counted_and_comes_last() -> None:
    found = pod(status("wait", terminated=BAD), status("main", terminated=BAD), labels={containers.OF_ARGO: "w"})
    assert shown.why(found) == "exit code 3"
    assert containers.failed(found) == (status("main", terminated=BAD), BAD)


def test_the_first_container_is_that_of_the_spec_whatever_the_order_of_the_statuses() -> None:
    found = pod(status("z", terminated=BAD), status("a", terminated=FINE))
    found["status"]["containerStatuses"].reverse()  # the kubelet sorts them by name
    assert checked._terminated(found) == BAD
