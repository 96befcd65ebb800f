"""successCondition and failureCondition of resource templates: label selectors whose keys are paths into the object.

A path is dotted; a number indexes a list. Success needs every requirement, failure one. The value at a path is compared as
text: true and false, numbers as in JSON, empty for null. Requirements are checked in the order of their paths, and printed as
Argo prints them: `{status.failed gt [0]}`.
"""

from __future__ import annotations

import json
from typing import Any

from kubeproc import label_requirements
from kubeproc.argo.executor.task import TaskError
from kubeproc.label_requirements import Requirement

MISSING = object()


def value_at(obj: Any, path: str) -> Any:
    """The value at the dotted path, or MISSING."""
    for part in path.split("."):
        if isinstance(obj, dict) and part in obj:
            obj = obj[part]
        elif isinstance(obj, list) and part.isdigit() and int(part) < len(obj):
            obj = obj[int(part)]
        else:
            return MISSING
    return obj


def text_of(value: Any) -> str:
    """A value as text for comparison."""
    if value is MISSING or value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def holds(requirement: Requirement, obj: Any) -> bool:
    """Whether the object meets the requirement."""
    found = value_at(obj, requirement.key)
    return requirement.holds(None if found is MISSING else text_of(found))


def parse(text: str, which: str) -> list[Requirement]:
    """The requirements of a condition, sorted by path; none for an empty one. `which` (success, fail) is for the error
    message."""
    try:
        return sorted(label_requirements.parse(text), key=lambda r: r.key)
    except label_requirements.RequirementError as error:
        raise TaskError(f"{which} condition '{text}' failed to parse: {error}") from error
