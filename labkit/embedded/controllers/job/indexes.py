"""Completion indexes of an Indexed Job: written as `0-2,5`, one pod for each that is missing."""

from __future__ import annotations

from collections.abc import Iterable

from labkit.embedded.admission.job import INDEX
from labkit.embedded.store import Object


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


def missing(completions: int, done: set[int], active: Iterable[Object], count: int) -> list[int]:
    """The first `count` indexes that have neither succeeded nor an active pod."""
    taken = done | {i for p in active if (i := of_pod(p)) is not None}
    found: list[int] = []
    for i in range(completions):
        if len(found) == count:
            break
        if i not in taken:
            found.append(i)
    return found
