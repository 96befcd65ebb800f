"""Completion indexes of an Indexed Job: written as `0-2,5`, one pod for each missing index."""

from __future__ import annotations

from collections.abc import Iterable

from kubeproc.admission.job import INDEX
from kubeproc.controllers.pod_making import removal_order
from kubeproc.store import Object


def parse(text: str) -> set[int]:
    """`0-2,5` as {0, 1, 2, 5}."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def write(indexes: Iterable[int]) -> str:
    """The shortest text for the indexes: ranges of two or more are joined."""
    runs: list[list[int]] = []
    for i in sorted(indexes):
        if runs and i == runs[-1][1] + 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def of_pod(pod: Object) -> int | None:
    """The pod's completion index."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    return int(text) if text.isdigit() else None


def missing(completions: int, done: set[int], taken: Iterable[Object], count: int) -> list[int]:
    """The first `count` indexes that have neither succeeded nor one of the pods `taken`."""
    held = done | {i for p in taken if (i := of_pod(p)) is not None}
    found: list[int] = []
    for i in range(completions):
        if len(found) == count:
            break
        if i not in held:
            found.append(i)
    return found


def in_range(pod: Object, completions: int) -> bool:
    """Whether the pod's index is below the Job's completions, which may have been lowered."""
    index = of_pod(pod)
    return index is not None and index < completions


def surplus(active: Iterable[Object], completions: int) -> tuple[list[Object], list[Object]]:
    """The pods that an Indexed Job never needs (without a valid index, or with the index of another pod), and the other
    pods."""
    unwanted: list[Object] = []
    kept: dict[int, Object] = {}
    for pod in sorted(active, key=removal_order, reverse=True):
        index = of_pod(pod)
        if index is None or index >= completions or index in kept:
            unwanted.append(pod)
        else:
            kept[index] = pod
    return unwanted, list(kept.values())
