"""Answers that are workflows: submitted, and looked at when they have ended."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

from labkit import client
from labkit.checks import health
from labkit.checks.manifests import read, submit
from labkit.checks.verdict import CheckFailed, expect
from labkit.errors import LabError, meant

ENDED = ("Succeeded", "Failed", "Error")
# A part of the message of a node whose pod went with its machine.
LOST = ("pod deleted", "kubelet has died", "NodeLost", "ContainerStatusUnknown")
# Argo's words, on every cluster.
UNKNOWN_TASK = re.compile(r"dependency '([^']+)' not defined|invalid dependency (\S+)")
UNKNOWN_RESULT = re.compile(r"task result '([^']+)' for task '([^']+)' is invalid")
RESULTS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")
Object = dict[str, Any]


def workflow(manifest: object, timeout: float = 120) -> Object:
    """Submit a workflow and return it when it has ended, whatever its phase."""
    return workflows(manifest, {}, timeout=timeout)[0]


def workflows(manifest: object, *parameters: Mapping[str, str], timeout: float = 120) -> list[Object]:
    """Submit a workflow once for each set of parameters, all at the same time, and return them when all have ended.

    The diagnosis says why one can't begin, or does not end.
    """
    wanted = read(manifest, "Workflow")
    names = [submit(_with(wanted, values))["metadata"]["name"] for values in parameters]
    return [_ended(name, timeout) for name in names]


def _with(wanted: Object, values: Mapping[str, str]) -> Object:
    """The workflow with other values of some of its parameters, and with a name of its own."""
    made = copy.deepcopy(wanted)
    if name := made["metadata"].pop("name", None):  # a second one of that name would be the first one, changed
        made["metadata"].setdefault("generateName", f"{name}-")
    spec = made.get("spec") or {}
    listed = (spec.get("arguments") or {}).get("parameters") or []
    for key, value in values.items():
        found = next((parameter for parameter in listed if parameter.get("name") == key), None)
        expect(found, f"the workflow has no parameter {key!r}", "leave spec.arguments as it was")
        assert found
        found["value"] = value
    return made


def _ended(name: str, timeout: float) -> Object:
    look = f"in a terminal, `kubectl describe workflow {name}` shows each step and what became of it"
    try:
        found = client.wait("workflow", name, _has_ended, timeout=timeout, what="its end")
    except LabError:
        health.require()
        status = (client.get("workflow", name) or {}).get("status") or {}
        going = sorted(n["displayName"] for n in (status.get("nodes") or {}).values() if n.get("phase") not in ENDED)
        raise CheckFailed(
            f"workflow {name} has not ended after {timeout:g} s; still going on: {', '.join(going) or 'nothing'}", look
        ) from None
    status = found["status"]
    why = status.get("message", "no reason was given")
    expect(status.get("nodes"), f"workflow {name} could not begin: {why}", _remedy(found, why) or look)
    _lost(name, status["nodes"].values())
    return found


def _remedy(found: Object, why: str) -> str:
    """What to write in place of what the workflow's validation names; '' if it names nothing."""
    tasks = [t for one in found["spec"].get("templates") or [] for t in (one.get("dag") or {}).get("tasks") or []]
    if task := UNKNOWN_TASK.search(why):
        result = next((each for each in RESULTS if each.lower() == (task[1] or task[2]).lower()), "")
        if result:
            return f"in `depends`, a result begins with a capital letter and stands after its task: TASK.{result}"
        return "in `depends`, " + meant(task[1] or task[2], [t["name"] for t in tasks if t.get("name")], "tasks")
    if wrong := UNKNOWN_RESULT.search(why):
        return f"in `depends`, after {wrong[2]} and a dot, " + meant(wrong[1], RESULTS, "results")
    return "correct what the message names in the manifest, and run the answer's cell" if "spec" in why else ""


def _lost(name: str, nodes: Iterable[Object]) -> None:
    """LabError for a workflow that lost a pod: what came of it says nothing about the answer."""
    for node in nodes:
        said = str(node.get("message", ""))
        if node.get("phase") in ("Failed", "Error") and any(words in said for words in LOST):
            step = node.get("displayName", "a step")
            raise LabError(
                f"your answer was not judged, because workflow {name} lost the pod of {step}: {said}", health.HINT
            )


def _has_ended(found: Object) -> bool:
    return (found.get("status") or {}).get("phase") in ENDED
