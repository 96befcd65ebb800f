"""`depends`: which tasks a task waits for, and whether it runs once they have ended.

`dependencies: [a, b]` is the older form: each of them succeeded, was skipped, or failed in a way that its `continueOn`
allows. A bare task name in `depends` means the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import re2  # Python's re takes quadratic time

from kubeproc.argo.language import expressions

Object = dict[str, Any]

RESULTS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")
OF_ITEMS = ("AnySucceeded", "AllFailed")
_NAME = re.compile(r"([a-zA-Z0-9][-a-zA-Z0-9]*?\.[A-Z][a-zA-Z]+)|([a-zA-Z0-9][-a-zA-Z0-9]*)")
_RESULT = re2.compile(r"([a-zA-Z0-9][-a-zA-Z0-9]*?\.[A-Z][a-zA-Z]+)")


def _expanded(name: str, task: Object | None) -> str:
    allowed = ["Succeeded", "Skipped", "Daemoned"]
    goes_on = (task or {}).get("continueOn") or {}
    allowed += [result for result, key in (("Errored", "error"), ("Failed", "failed")) if goes_on.get(key)]
    return "(" + " || ".join(f"{name}.{result}" for result in allowed) + ")"


def logic(task: Object, find: Callable[[str], Object | None]) -> tuple[dict[str, bool], str]:
    """The tasks a task depends on, by name (True if it uses the results of their items), and the expanded condition.
    `find` returns a task by name."""
    source = task.get("depends") or " && ".join(_expanded(d, find(d)) for d in task.get("dependencies") or ())
    needed: dict[str, bool] = {}

    def expand(match: re.Match[str]) -> str:
        if match[1]:
            name, result = match[1].split(".")
            needed[name] = needed.get(name, False) or result in OF_ITEMS
            return match[1]
        needed[match[2]] = needed.get(match[2], False)
        return _expanded(match[2], find(match[2]))

    return needed, _NAME.sub(expand, source)


def unknown_result(task: Object) -> str:
    """The error for an unknown result in `depends`; "" if it is known."""
    for match in _RESULT.findall(task.get("depends") or ""):
        name, result = match.split(".")
        if result not in RESULTS:
            return f"task result '{result}' for task '{name}' is invalid"
    return ""


def allows(condition: str, results: dict[str, dict[str, bool]]) -> bool:
    """Whether the condition holds; ExpressionError with Argo's message if it cannot be evaluated."""
    source = condition.replace("-", "_")
    names = {name.replace("-", "_"): result for name, result in results.items()}
    try:
        return expressions.evaluate_bool(source, names)
    except expressions.ExpressionError as error:
        raise expressions.ExpressionError(f"unable to evaluate expression '{source}': {error}") from None


def result_of(node: Object, children: list[Object]) -> dict[str, bool]:
    """The values of `TASK.Succeeded` and the like for a node that has ended."""
    phase = node["phase"]
    kids = children if node["type"] == "TaskGroup" else []
    return {
        "Succeeded": phase == "Succeeded",
        "Failed": phase == "Failed",
        "Errored": phase == "Error",
        "Skipped": phase == "Skipped",
        "Omitted": phase == "Omitted",
        "Daemoned": False,
        "AnySucceeded": any(child["phase"] == "Succeeded" for child in kids),
        "AllFailed": bool(kids) and all(child["phase"] == "Failed" for child in kids),
    }
