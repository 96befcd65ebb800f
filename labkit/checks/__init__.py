"""What a notebook's check cells call: what was found, what was expected, and where to look, not only a verdict.

A check that says no raises `CheckFailed` (an AssertionError, so that graders can tell a wrong answer from a broken cell).
It reads what the student made, on the cluster or as a value, and never the source of an answer. Where the cluster itself
is at fault, a check raises `LabError`: a machine that is down makes no answer wrong.
"""

from labkit.checks.manifests import changes, create, pretend
from labkit.checks.pods import log, pod
from labkit.checks.values import number, numbers, prediction, returned
from labkit.checks.verdict import CheckFailed, expect, passed
from labkit.checks.workflows import workflow, workflows

__all__ = [
    "CheckFailed",
    "changes",
    "create",
    "expect",
    "log",
    "number",
    "numbers",
    "passed",
    "pod",
    "prediction",
    "pretend",
    "returned",
    "workflow",
    "workflows",
]
