"""What a task is called in a figure: by what it does, with how long it took and how it ended."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from datetime import datetime
from typing import Any

WORDS = {"Failed": "failed", "Error": "failed", "Skipped": "not run", "Omitted": "not run", "Pending": "waits"}


def name(node: Mapping[str, Any]) -> str:
    """A task's name for people: `train(1:mlp)(0)` is `train mlp`; the task `service` inside of `serve(0:first)` is
    `service first`, and inside of `serve-first` it is `serve-first service`."""
    said = str(node.get("displayName", ""))
    path = str(node.get("name", ""))
    if said.endswith(".onExit"):  # the exit handler itself: `end-to-end-x7k2p.onExit` is what it does
        said = str(node.get("templateName") or "onExit")
    around = re.findall(r"\(\d+:[^()]*\)", path)
    plain = re.sub(r"\(\d+\)$", "", said)  # without the attempt of a retry
    if around and "(" not in plain:
        plain += around[-1]
    elif not around:
        above = re.sub(r"\[\d+\]", "", path).split(".")[1:-1]  # without the workflow itself
        if above and above[-1] not in (plain, "onExit") and "(" not in above[-1]:
            plain = f"{above[-1]} {plain}"
    plain = re.sub(r"\(\d+:(.*)\)$", r" \1", plain)  # the item of a loop
    return re.sub(r"\b\w+:", "", plain).replace(",", " ")  # the keys of an item that is a map


def label(node: Mapping[str, Any]) -> str:
    """A task's name, broken to fit its box, with the seconds it took, or how often it was tried, and what became of it where
    it has not succeeded."""
    shown = "\n".join(textwrap.wrap(name(node), 15)[:3])
    if (node.get("memoizationStatus") or {}).get("hit"):
        return f"{shown}\nremembered"
    took = duration(node.get("startedAt"), node.get("finishedAt"))
    how = WORDS.get(str(node.get("phase")), "")
    time = f"{took:.0f} s" if took is not None and how != "not run" else ""
    attempts = len(node.get("attempts") or ())
    tried = f"{attempts} attempts" if attempts > 1 else ""
    return "\n".join(filter(None, [shown, ", ".join(filter(None, [how, tried or time]))]))


def duration(start: str | None, end: str | None) -> float | None:
    """Seconds between two of Kubernetes' timestamps; None while one is missing."""
    if not start or not end:
        return None
    return moment(end) - moment(start)


def moment(timestamp: str) -> float:
    """One of Kubernetes' timestamps in seconds since the epoch."""
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()
