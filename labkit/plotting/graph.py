"""A workflow drawn: a box for each task, from left to right in the order of their dependencies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labkit.plotting.colours import DARK, INK, look
from labkit.plotting.labels import label, name
from labkit.plotting.tasks import Tasks, places, tasks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 0.88, 0.72  # of a box, where columns and rows are 1 apart
LARGEST, SMALLEST = 8.0, 4.0  # points
FEWEST = 5  # columns that there is room for: boxes of a short workflow are not as wide as the page
PAPER = {"facecolor": "white", "alpha": 0.9, "edgecolor": "none", "pad": 2.0}
MANY = 12  # arrows between two groups; more of them meet in one point


def workflow(object: Mapping[str, Any], axes: Axes) -> None:
    """Draw a workflow's tasks, coloured by phase; a task that was tried again has a strip for each attempt. The size of the
    boxes' text follows the size of the axes."""
    found = tasks(object)
    place = places(found)
    right = max((x for x, _ in place.values()), default=0) + 0.6
    right = max(right, FEWEST - 0.4)
    top = max((y for _, y in place.values()), default=0) + 0.5
    axes.set_xlim(-0.6, right)
    axes.set_ylim(-top, top)
    axes.axis("off")
    _arrows(found, place, axes)
    box = axes.get_window_extent().width / (right + 0.6), axes.get_window_extent().height / (2 * top)
    points = 72 / axes.figure.dpi
    room = WIDTH * box[0] * points, HEIGHT * box[1] * points
    nameless: dict[int, list[Mapping[str, Any]]] = {}
    for id, node in found.items():
        if not _box(node, *place[id], room, box[0] / box[1], axes):
            nameless.setdefault(place[id][0], []).append(node)
    for column, nodes in nameless.items():
        axes.text(column, 0, _count(nodes), ha="center", va="center", fontsize=LARGEST, color=INK, bbox=PAPER)
    axes.set_title(title(object), fontsize=10, loc="left", color=INK)


def title(object: Mapping[str, Any]) -> str:
    """The workflow's name, its phase, and how far it is."""
    status = object.get("status") or {}
    said = f"{object.get('metadata', {}).get('name', '')}: {status.get('phase') or 'Pending'}"
    done, _, total = str(status.get("progress") or "").partition("/")
    if total in ("", "0"):
        return said
    # Argo counts the pods of the steps that it has begun, each attempt of a step; what later steps make is not in it.
    return f"{said}; {done} of {total} step pods have succeeded"


def _count(nodes: list[Mapping[str, Any]]) -> str:
    """The caption of a column whose boxes are too small for words: how many of each task are in each phase."""
    found = Counter((str(node.get("templateName") or name(node)), str(node.get("phase", "Pending"))) for node in nodes)
    lines = [f"{number} x {task} {phase.lower()}" for (task, phase), number in found.most_common(6)]
    return "\n".join(lines)


def _box(node: Mapping[str, Any], x: float, y: float, room: tuple[float, float], aspect: float, axes: Axes) -> bool:
    """Draw one task; returns whether there was room for its name."""
    from matplotlib.patches import FancyBboxPatch, Rectangle

    phase = node.get("phase", "Pending")
    corner = (x - WIDTH / 2, y - HEIGHT / 2)
    round = min(0.06, 0.3 * HEIGHT / aspect)
    shape = FancyBboxPatch(corner, WIDTH, HEIGHT, boxstyle=f"round,pad=0,rounding_size={round}", mutation_aspect=aspect)
    shape.set(**look(phase) | {"hatch": None})
    axes.add_patch(shape)
    attempts = node.get("attempts") or ()
    strip = 0.0
    if len(attempts) > 1:
        strip, each = 0.16, (WIDTH - 0.12) / len(attempts)
        for number, attempt in enumerate(attempts):
            left = corner[0] + 0.06 + number * each
            axes.add_patch(
                Rectangle(
                    (left, corner[1] + 0.05),
                    each * 0.9,
                    0.12,
                    **look(attempt.get("phase")) | {"linewidth": 0.8, "hatch": None},
                )
            )
    words, size = _fitted(label(node), room[0], room[1] * (1 - strip / HEIGHT))
    if words:
        colour = "white" if phase in DARK else INK
        axes.text(x, y + strip / 2, words, ha="center", va="center", fontsize=size, color=colour, linespacing=1.15)
    return bool(words)


def _fitted(words: str, width: float, height: float) -> tuple[str, float]:
    """The text and its size in points, so that it lies inside of its box; where it would be too small to be read, its first
    line, and '' where even that is."""
    for text in (words, words.partition("\n")[0]):
        lines = text.split("\n")
        size = min(LARGEST, 0.94 * height / (1.3 * len(lines)), 0.94 * width / (0.6 * max(map(len, lines))))
        if size >= SMALLEST:
            return text, size
    return "", SMALLEST


def _arrows(found: Tasks, place: Mapping[str, tuple[int, float]], axes: Axes) -> None:
    from matplotlib.collections import LineCollection

    together: dict[tuple[str, ...], list[str]] = {}
    for id, node in found.items():
        before = tuple(a for a in node["after"] if a in place)
        if before:
            together.setdefault(before, []).append(id)
    lines, heads = [], []
    for before, ids in together.items():
        starts = [(place[a][0] + WIDTH / 2, place[a][1]) for a in before]
        ends = [(place[id][0] - WIDTH / 2, place[id][1]) for id in ids]
        heads += ends
        if len(starts) * len(ends) > MANY and min(len(starts), len(ends)) > 1:
            # All of these wait for all of those: the arrows meet half-way, or there would be thousands.
            middle = (min(x for x, _ in ends) - (1 - WIDTH) / 2, sum(y for _, y in starts + ends) / len(starts + ends))
            lines += [(start, middle) for start in starts] + [(middle, end) for end in ends]
        else:
            lines += [(start, end) for start in starts for end in ends]
    axes.add_collection(LineCollection(lines, colors="#6e7781", linewidths=1, zorder=0.8, gid="arrows"))
    if heads:
        xs, ys = zip(*heads, strict=True)
        axes.scatter([x - 0.012 for x in xs], ys, marker=">", s=14, color="#6e7781", zorder=0.9, linewidths=0)
