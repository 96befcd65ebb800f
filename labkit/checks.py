"""What a notebook's check cells call: not a verdict only, but what was found, what was expected, and where to look.

A check that says no raises `CheckFailed` (an AssertionError, so that graders tell a wrong answer from a broken cell).
Checks read what the student made, on the cluster or in a value; they never look at the source of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labkit import client
from labkit.errors import LabError


class CheckFailed(AssertionError):
    """An answer that is not there yet: what was found, what was expected, a hint."""

    def __init__(self, found: str, hint: str = "") -> None:
        super().__init__(f"{found}\n  hint: {hint}" if hint else found)
        self.found, self.hint = found, hint

    def _render_traceback_(self) -> list[str]:
        """IPython shows this instead of a traceback: the check's code is not the student's business."""
        return [f"Not yet: {self}"]


def expect(holds: object, found: str, hint: str = "") -> None:
    """Raise `CheckFailed(found, hint)` unless `holds`."""
    if not holds:
        raise CheckFailed(found, hint)


def passed(what: str) -> None:
    """Say that a check was passed, in one line."""
    print(f"Passed: {what}")


def number(given: object, right: float, name: str, hint: str = "", tolerance: float = 1e-6) -> None:
    """Compare a number that the student computed, within a relative tolerance."""
    expect(given is not None, f"{name} is still None", "give it a value in the answer's cell, and run that cell")
    try:
        close = abs(float(given) - right) <= tolerance * max(1.0, abs(right))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise CheckFailed(f"{name} is a {type(given).__name__}, expected a number", hint) from None
    expect(close, f"{name} is {given}, which is too {'much' if float(given) > right else 'little'}", hint)  # type: ignore[arg-type]


def workflow(manifest: str, timeout: float = 120) -> dict[str, Any]:
    """Submit a workflow and return it when it has ended, however it has; the diagnosis is of why it can't begin."""
    ended = ("Succeeded", "Failed", "Error")
    try:
        name = client.apply(manifest)[0]["metadata"]["name"]
        found = client.wait("workflow", name, lambda w: (w.get("status") or {}).get("phase") in ended, timeout=timeout)
    except LabError as error:
        raise CheckFailed(error.message, error.hint) from None
    status = found["status"]
    expect(
        status.get("nodes"), f"the workflow could not begin: {status.get('message')}", "what does it say is missing?"
    )
    return found


def create(manifest: object, kind: str, name: str | None = None) -> dict[str, Any]:
    """Make the one object that a manifest (YAML text, or a dict) describes, in place of one of that name made before.

    Returns it as the cluster has it. The diagnosis says what is wrong with the text, or why the cluster refused it.
    """
    hint = "write it between the triple quotes: apiVersion, kind, metadata, spec"
    expect(manifest is not None, "there is no manifest yet", hint)
    expect(str(manifest).strip(), "the manifest is empty", hint)
    expect(isinstance(manifest, dict | str), f"the manifest is a {type(manifest).__name__}, not YAML text", hint)
    try:
        found = client.documents(manifest + "\n" if isinstance(manifest, str) else manifest)  # type: ignore[arg-type]
        expect(found, "the manifest is empty", hint)
        expect(len(found) == 1, f"there are {len(found)} objects in the manifest, expected one", "is there a line ---?")
        wanted = found[0]
        expect(wanted["kind"] == kind, f"the manifest is of kind {wanted['kind']}, expected {kind}")
        called = (wanted["metadata"] or {}).get("name")
        expect(called, "the manifest gives no name", "under metadata, with two spaces before it: name: ...")
        assert called
        expect(
            name in (None, called), f"the {kind.lower()} is named {called!r}, expected {name!r}", "see metadata.name"
        )
        client.remove(kind.lower(), called)
        return client.apply(wanted)[0]
    except LabError as error:
        raise CheckFailed(error.message, error.hint) from None


def pod(
    name: str, *, phase: str = "Succeeded", exit_code: int | None = None, log: Sequence[str] = (), timeout: float = 60
) -> Any:
    """Wait until the pod has ended and compare: its phase, its first container's exit code, and texts that its log must
    have. Returns the pod. The diagnosis says how far it came: absent, pending and why, ended otherwise."""
    expect(
        client.get("pod", name),
        f"there is no pod {name!r} in the namespace {client.namespace()!r}",
        "create it first; is its metadata.name right?",
    )
    look = f"kubectl describe pod {name}"
    try:
        found = client.wait("pod", name, _has_ended, timeout=timeout, what="its end")
    except LabError:
        raise CheckFailed(f"pod {name} has not ended: {why_not(client.get('pod', name) or {})}", look) from None
    expect(not waiting(found), f"pod {name} has not run: {waiting(found)}", look)
    status = found["status"]
    ended = _terminated(found)
    expect(ended, f"pod {name} ended as {status['phase']} without having run: {why_not(found)}", look)
    try:
        said = "".join(client.logs(name, container=found["spec"]["containers"][0]["name"]))
    except LabError as error:
        raise CheckFailed(f"pod {name} ended as {status['phase']}, without a log: {error.message}", look) from None
    words = f"pod {name} ended as {status['phase']}"
    if exit_code is not None:
        expect(
            ended.get("exitCode") == exit_code,
            f"{words} with exit code {ended.get('exitCode')}, expected {exit_code}",
            f"its log ends: {said[-300:]!r}",
        )
    expect(status["phase"] == phase, f"{words}, expected {phase}", f"its log ends: {said[-300:]!r}")
    for text in log:
        expect(text in said, f"the log of pod {name} does not have {text!r}", f"it has: {said[-300:]!r}")
    return found


def _has_ended(found: dict[str, Any]) -> bool:
    return (found.get("status") or {}).get("phase") in ("Succeeded", "Failed") or bool(waiting(found))


def _terminated(found: dict[str, Any]) -> dict[str, Any]:
    statuses = found["status"].get("containerStatuses") or [{}]
    ended: dict[str, Any] = (statuses[0].get("state") or {}).get("terminated") or {}
    return ended


def waiting(found: dict[str, Any]) -> str:
    """Why a pod's containers can't start for good (an image, a missing ConfigMap), '' when nothing stands in their way."""
    told = found.get("status") or {}
    for status in [*(told.get("initContainerStatuses") or []), *(told.get("containerStatuses") or [])]:
        state = (status.get("state") or {}).get("waiting") or {}
        if state.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{state['reason']}: {state.get('message', '')}"
    return ""


def why_not(found: dict[str, Any]) -> str:
    """In one line, why a pod does not run: its waiting reason, its unmet condition, or its last events."""
    if waiting(found):
        return waiting(found)
    for condition in (found.get("status") or {}).get("conditions") or []:
        if condition.get("status") == "False" and condition.get("message"):
            return f"{condition.get('reason')}: {condition['message']}"
    told = client.events(found.get("metadata", {}).get("name", ""))
    return "; ".join(f"{e['reason']}: {e['message']}" for e in told[-3:]) or "nothing was said about it"
