"""The course's figures of a cluster at work, drawn from API objects and nothing else.

A workflow is drawn from its `status.nodes`, pods from the times at which their phases were seen to change. Colours mean
the same everywhere: grey waits, blue runs, green succeeded, red failed, sand was left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os.path import commonprefix
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {
    "Pending": "#c9d1d9",
    "Running": "#4c8eda",
    "Succeeded": "#4a9d5f",
    "Failed": "#cf4a4a",
    "Error": "#cf4a4a",
    "Skipped": "#e6dcc3",
    "Omitted": "#e6dcc3",
}
VIRTUAL = {"Steps", "StepGroup", "DAG", "TaskGroup", "Retry"}  # Argo's own nodes: they run nothing


def tasks(workflow: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The nodes of a workflow that stand for work, by id, each with `after`: the ids of those it came after.

    The edges of Argo's virtual nodes (Steps, DAG, Retry, ...) are contracted; a retried task is its last attempt, and one
    that was taken from memory, whose parts did not run, stands for them.
    """
    nodes: dict[str, dict[str, Any]] = dict((workflow.get("status") or {}).get("nodes") or {})
    parents: dict[str, set[str]] = {id: set() for id in nodes}
    for id, node in nodes.items():
        for child in node.get("children") or []:
            if child in parents:
                parents[child].add(id)
    hidden = {id for id, node in nodes.items() if node.get("type") in VIRTUAL and not remembered(node)}
    superseded: dict[str, str] = {}
    for node in nodes.values():
        if node.get("type") == "Retry":
            attempts = [c for c in node.get("children") or [] if c in nodes]
            superseded.update(dict.fromkeys(attempts[:-1], attempts[-1] if attempts else ""))

    def real(ids: Iterable[str], seen: frozenset[str] = frozenset()) -> set[str]:
        found: set[str] = set()
        for id in ids:
            if id in seen:
                continue
            if id in superseded:
                found.add(superseded[id])
            elif id in hidden:
                found |= real(parents[id], seen | {id})
            else:
                found.add(id)
        return found

    drawn = [id for id in nodes if id not in hidden and id not in superseded]
    return {id: nodes[id] | {"after": sorted(real(parents[id]) - {id})} for id in drawn}


def remembered(node: Mapping[str, Any]) -> bool:
    """Whether the node's result was taken from a cache (memoize)."""
    return bool((node.get("memoizationStatus") or {}).get("hit"))


def levels(found: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """The column of each task: one more than the furthest of those it came after; exit handlers stand last."""
    depth: dict[str, int] = {}

    def measure(id: str, path: frozenset[str] = frozenset()) -> int:
        if id not in depth:
            before = [measure(a, path | {id}) for a in found[id]["after"] if a in found and a not in path]
            depth[id] = 1 + max(before, default=-1)
        return depth[id]

    for id in found:
        measure(id)
    last = max((depth[id] for id in found if not at_exit(found[id])), default=-1)
    return {id: column + (last + 1 if at_exit(found[id]) else 0) for id, column in depth.items()}


def places(found: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[int, float]]:
    """Where each task is drawn: its column, and a height around 0. In a column who came after what lies above lies above,
    so that few arrows cross; of equals who began first."""
    depth = levels(found)
    place: dict[str, tuple[int, float]] = {}

    def order(id: str) -> tuple[float, str, str]:
        before = [place[a][1] for a in found[id]["after"] if a in place]
        above = sum(before) / len(before) if before else 0.0
        return -above, found[id].get("startedAt") or "", found[id].get("displayName", "")

    for column in sorted(set(depth.values())):
        ids = sorted((id for id in found if depth[id] == column), key=order)
        place |= {id: (column, (len(ids) - 1) / 2 - row) for row, id in enumerate(ids)}
    return place


def at_exit(node: Mapping[str, Any]) -> bool:
    """Whether a node belongs to the workflow's exit handler."""
    return ".onExit" in str(node.get("name", ""))


def workflow(object: Mapping[str, Any], axes: Axes) -> None:
    """Draw a workflow's tasks from left to right in the order of their dependencies, coloured by phase."""
    from matplotlib.patches import FancyBboxPatch

    found = tasks(object)
    place = places(found)
    width, height = 0.88, 0.72
    for id, node in found.items():
        x, y = place[id]
        for before in node["after"]:
            bx, by = place[before]
            axes.annotate(
                "",
                xy=(x - width / 2, y),
                xytext=(bx + width / 2, by),
                arrowprops={"arrowstyle": "-|>", "color": "#8b949e", "connectionstyle": "arc3,rad=0", "lw": 1},
            )
        colour = COLOURS.get(node.get("phase", "Pending"), COLOURS["Pending"])
        box = FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.08",
            fc=colour,
            ec="none",
        )
        axes.add_patch(box)
        dark = node.get("phase") in ("Running", "Succeeded", "Failed", "Error")
        words = label(node)
        size = 8 if words.count("\n") < 3 else 6.5  # four lines fill the box
        axes.text(x, y, words, ha="center", va="center", fontsize=size, color="white" if dark else "#24292f")
    top = max((y for _, y in place.values()), default=0) + 0.5
    axes.set_xlim(-0.6, max((x for x, _ in place.values()), default=0) + 0.6)
    axes.set_ylim(-top, top)
    axes.axis("off")
    status = object.get("status") or {}
    name = object.get("metadata", {}).get("name", "")
    axes.set_title(
        f"{name}: {status.get('phase') or 'Pending'} {status.get('progress', '')}".rstrip(), fontsize=10, loc="left"
    )


def label(node: Mapping[str, Any]) -> str:
    """A task's name, broken to fit its box, with the seconds it took: `train(1:mlp)(0)` is `train mlp`, and the task
    `service` inside of `serve(0:first)` is `service first`."""
    import re
    import textwrap

    name = str(node.get("displayName", ""))
    around = re.findall(r"\(\d+:[^()]*\)", str(node.get("name", "")))
    if around and "(" not in name:
        name += around[-1]
    name = re.sub(r"\(\d+\)$", "", name)  # the attempt of a retry
    name = re.sub(r"\(\d+:(.*)\)$", r" \1", name)  # the item of a loop
    name = re.sub(r"\b\w+:", "", name).replace(",", " ")  # the keys of an item that is a map
    shown = "\n".join(textwrap.wrap(name, 15)[:3])
    if remembered(node):
        return f"{shown}\nremembered"
    seconds = duration(node.get("startedAt"), node.get("finishedAt"))
    return f"{shown}\n{seconds:.0f} s" if seconds is not None else shown


def duration(start: str | None, end: str | None) -> float | None:
    """Seconds between two of Kubernetes' timestamps; None while one is missing."""
    from datetime import datetime

    if not start or not end:
        return None
    parsed = [datetime.fromisoformat(t.replace("Z", "+00:00")) for t in (start, end)]
    return (parsed[1] - parsed[0]).total_seconds()


def timeline(history: Mapping[str, Sequence[tuple[float, str]]], axes: Axes, until: float | None = None) -> None:
    """Draw pods as bars over time: grey while they wait, blue while they run or if they were removed running, green or red
    by their end. `history` is {pod: [(seconds since the epoch, phase), ...]}, as `show.Recorder` keeps it; `until` is
    where bars of pods that still run end (the last change seen, when None)."""
    if not history:
        axes.set_axis_off()
        return
    start = min(changes[0][0] for changes in history.values())
    end = until or max(changes[-1][0] for changes in history.values())
    names = sorted(history, key=lambda n: history[n][0][0])
    for row, name in enumerate(names):
        changes = history[name]
        for number, (at, phase) in enumerate(changes):
            if phase in ("Succeeded", "Failed", "Deleted"):
                continue
            stop = changes[number + 1][0] if number + 1 < len(changes) else end
            ends = next((p for _, p in reversed(changes) if p in ("Succeeded", "Failed")), phase)
            shown = "Pending" if phase == "Pending" else ends
            axes.barh(
                row, max(stop - at, 0.02), left=at - start, height=0.7, color=COLOURS.get(shown, COLOURS["Running"])
            )
    shared = commonprefix(names).rpartition("-")[0] if len(names) > 1 else ""  # noqa: RUF071 - names, not paths
    axes.set_yticks(range(len(names)), [name.removeprefix(f"{shared}-") for name in names], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("seconds since the first pod")
    axes.margins(y=0.02)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
