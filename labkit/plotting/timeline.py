"""Pods as bars over time: when each waited, ran, and how it ended; beside it why it waits or failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labkit.plotting.colours import INK, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENDED = ("Succeeded", "Failed", "Removed")
WHY, LEAST = 90, 30  # characters, at most and where there is little room
NAME = 24  # characters, left of the bars
READABLE = 5.0  # points


@dataclass
class Pod:
    """What is known of a pod's life.

    `changes` are (seconds since the epoch, phase), a phase of Kubernetes' or Removed; `restarts` when one of its containers
    was started again; `why` is the reason why it waits or has failed, or ''.
    """

    uid: str
    name: str
    changes: list[tuple[float, str]] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)
    why: str = ""
    label: str = ""
    owner: tuple[str, str, str] = ("", "", "")  # kind, name and generateName of what made it

    @property
    def phase(self) -> str:
        """The last phase that was seen."""
        return self.changes[-1][1] if self.changes else "Pending"

    @property
    def began(self) -> float:
        return self.changes[0][0]

    @property
    def ended(self) -> float | None:
        """When it ended; None while it has not."""
        return self.changes[-1][0] if self.phase in ENDED else None

    @property
    def outcome(self) -> str:
        """How it ended: a pod that had succeeded or failed when it was removed did so."""
        return next((p for _, p in reversed(self.changes) if p in ("Succeeded", "Failed")), self.phase)


def rows(pods: Iterable[Pod]) -> list[tuple[str, list[Pod]]]:
    """What stands in each row, in the order of their beginnings: a pod, or several of one label after each other, as the
    attempts of a step and a pod that was made again under its name."""
    found: list[tuple[str, list[Pod]]] = []
    by_label: dict[str, list[int]] = {}
    for pod in _ordered([pod for pod in pods if pod.changes]):
        label = pod.label or pod.name
        for number in by_label.get(label, []):
            before = found[number][1][-1].ended
            if before is not None and before <= pod.began + 1:  # timestamps are whole seconds
                found[number][1].append(pod)
                break
        else:
            by_label.setdefault(label, []).append(len(found))
            found.append((label, [pod]))
    return found


def _ordered(pods: list[Pod]) -> list[Pod]:
    """By their beginnings; a step's own pod before those of what it has made, which stay together."""
    began: dict[str, float] = {}
    for pod in pods:
        group = pod.owner[1] or pod.name
        began[group] = min(pod.began, began.get(group, pod.began))
    return sorted(pods, key=lambda p: (began[p.owner[1] or p.name], bool(p.owner[1]), p.owner[1], p.began, p.name))


def timeline(pods: Mapping[str, Pod], axes: Axes, until: float | None = None, slots: int = 0) -> None:
    """Draw pods (by uid) as bars over time. `until` is where the bars of those end that have not ended (the last change seen,
    when None); there is room for `slots` rows at least, so that a figure need not grow."""
    drawn = rows(pods.values())
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="both", colors=INK)
    axes.set_xlabel("seconds since the first pod", color=INK, fontsize=9)
    height = max(len(drawn), slots, 1)
    axes.set_ylim(height - 0.4, -0.6)
    if not drawn:
        axes.set_yticks([])
        return
    start = min(row[0].began for _, row in drawn)
    end = until or max(pod.changes[-1][0] for _, row in drawn for pod in row)
    span = max(end - start, 1.0)
    axes.set_xlim(-0.005 * span, 1.02 * span)
    for number, (_, row) in enumerate(drawn):
        for pod in row:
            _bars(pod, number, start, end, span, axes)
    size = min(7.0, 0.85 * axes.get_window_extent().height * 72 / axes.figure.dpi / height)
    for number, (_, row) in enumerate(drawn):
        if row[-1].why and size >= READABLE - 1:
            _say(row, number, start, end, span, size, axes)
    shown = range(len(drawn)) if size >= READABLE else range(0, len(drawn), int(READABLE / size) + 1)
    axes.set_yticks(list(shown), [_cut(drawn[number][0], NAME) for number in shown], fontsize=max(size, READABLE))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: max(0, length - 3)] + "..."


def _bars(pod: Pod, row: int, start: float, end: float, span: float, axes: Axes) -> None:
    from matplotlib.patches import Rectangle

    for number, (at, phase) in enumerate(pod.changes):
        if phase in ENDED:
            continue
        stop = pod.changes[number + 1][0] if number + 1 < len(pod.changes) else max(end, at)
        meaning = "Pending" if phase == "Pending" else pod.outcome
        wide = max(stop - at, 0.004 * span)
        axes.add_patch(Rectangle((at - start, row - 0.35), wide, 0.7, **look(meaning)))  # barh takes six times as long
    if pod.phase in ENDED and all(phase != "Running" for _, phase in pod.changes):  # it never ran
        axes.plot(pod.changes[-1][0] - start, row, marker="|", color=look(pod.outcome)["facecolor"])
    axes.plot(
        pod.began - start, row, marker="|", color="white", markersize=9, markeredgewidth=1.2
    )  # sets attempts apart
    for at in pod.restarts:
        axes.plot(at - start, row, marker="|", color="white", markersize=5, markeredgewidth=1.4)


def _say(row: list[Pod], number: int, start: float, end: float, span: float, size: float, axes: Axes) -> None:
    """Why the last pod of a row waits or has failed: right of its bar, or left of the row's first, or on top where neither has
    the room for the beginning of it."""
    gap, right = 0.006 * span, 1.02 * span
    letter = span * 0.55 * size / (axes.get_window_extent().width * 72 / axes.figure.dpi)  # in seconds, as the bars
    first, last = row[0].began - start, (row[-1].ended or max(end, row[-1].began)) - start
    enough = min(len(row[-1].why), LEAST) * letter
    if last + gap + enough <= right:
        at, side, room = last + gap, "left", right - last - gap
    elif first - gap - enough >= 0:
        at, side, room = first - gap, "right", first - gap
    else:
        at = max(0.0, min(first, right - enough)) + gap
        side, room = "left", right - at
    text = _cut(row[-1].why, min(WHY, int(room / letter)))
    on_colours = side == "left" and at < last and row[-1].outcome != "Pending"
    paper = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.6} if on_colours else None
    axes.text(at, number, text, ha=side, va="center", fontsize=size, color=INK, bbox=paper, clip_on=False)
