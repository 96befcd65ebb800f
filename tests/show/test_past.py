"""How pods ended that are gone, as their controllers' events say it."""

from __future__ import annotations

from typing import Any

from labkit.show import past
from labkit.show.family import Family

WORKFLOW = {"metadata": {"name": "w", "uid": "w"}}
CHIEF = "cnn-chief-0"


def event(second: int, reason: str, message: str = "", uid: str = "") -> dict[str, Any]:
    """An event of the TFJob, or of the chief with this uid."""
    about = {"kind": "Pod", "name": CHIEF, "uid": uid} if uid else {"kind": "TFJob", "name": "cnn", "uid": "job"}
    at = f"2026-03-01T12:00:{second:02}Z"
    return {"metadata": {}, "firstTimestamp": at, "reason": reason, "message": message, "involvedObject": about}


def gone(*events: dict[str, Any]) -> dict[str, tuple[list[tuple[float, str]], str]]:
    family = Family("default", WORKFLOW)
    family.known["job"] = True  # the workflow has made it
    found = past.gone(family, list(events), {})
    start = past.when(event(0, ""))
    return {uid: ([(at - start, phase) for at, phase in pod.changes], pod.why) for uid, pod in found.items()}


CREATED = event(1, "SuccessfulCreatePod", f"Created pod: {CHIEF}")
DELETED = event(19, "SuccessfulDeletePod", f"Deleted pod: {CHIEF}")
FIRST = [CREATED, event(1, "Scheduled", uid="one"), event(2, "Started", uid="one")]
SECOND = [event(19, "Scheduled", uid="two"), event(20, "Started", uid="two")]


def exited(second: int, code: int) -> dict[str, Any]:
    return event(second, "ExitedWithCode", f"Pod: default.{CHIEF} exited with code {code}")


def test_a_killed_chief_ran_until_its_controller_said_so_and_failed() -> None:
    found = gone(*FIRST, exited(19, 137), DELETED, *SECOND, exited(30, 0))
    assert found["one"] == ([(1, "Pending"), (2, "Running"), (19, "Failed")], "exit code 137")
    assert found["two"] == ([(19, "Pending"), (20, "Running"), (30, "Succeeded")], "")


def test_a_pod_that_its_controller_deleted_was_removed_then() -> None:
    assert gone(*FIRST, DELETED)["one"] == ([(1, "Pending"), (2, "Running"), (19, "Removed")], "")


def test_a_pod_that_was_stopped_was_removed_whatever_its_exit_code() -> None:
    found = gone(*FIRST, event(18, "Killing", uid="one"), exited(19, 143), DELETED)
    assert found["one"] == ([(1, "Pending"), (2, "Running"), (18, "Removed")], "")


def test_without_a_word_of_its_end_a_pod_ends_with_its_last_event() -> None:
    assert gone(*FIRST)["one"] == ([(1, "Pending"), (2, "Running"), (2, "Removed")], "")
