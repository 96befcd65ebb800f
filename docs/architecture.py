"""Draws docs/architecture.svg: the processes of the kit and of its embedded cluster, and which package each of them runs.

`python docs/architecture.py` writes it again. Boxes are placed on a grid of 24 columns; an arrow points from who calls to
who is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

INK, QUIET = "#1f2328", "#57606a"
LABKIT, KUBEPROC, OTHER = "#ddf4ff", "#dafbe1", "#f6f8fa"
CLUSTER = "kubeproc/kubeproc"  # below cluster/


@dataclass(frozen=True)
class Box:
    """A part: its title, what it does, the folder of its code, and its place (left, bottom, width, height)."""

    title: str
    words: str
    code: str
    place: tuple[float, float, float, float]
    colour: str = OTHER


BOXES = {
    "lab": Box("JupyterLab", "a student's notebooks", "labkit/lab.py", (0, 11.2, 4.6, 1.9), LABKIT),
    "run": Box("labkit run", "papermill and its reports", "labkit/runner", (5.2, 11.2, 4.6, 1.9), LABKIT),
    "up": Box("labkit up, down, status", "start and stop an engine", "labkit/cluster.py", (16.4, 11.2, 7, 1.9), LABKIT),
    "kernel": Box(
        "a notebook's kernel",
        "checks, show, plotting and client, over the official clients",
        "labkit/client",
        (0, 8.4, 9.8, 1.9),
        LABKIT,
    ),
    "kubectl": Box("kubectl", "or any client of Kubernetes", "", (10.6, 8.4, 4.8, 1.9)),
    "server": Box(
        "server",
        "one store; admission, controllers, Argo; https on 127.0.0.1",
        f"{CLUSTER}/server.py",
        (0.5, 4.5, 14.4, 1.9),
        KUBEPROC,
    ),
    "kubelet": Box("kubelet", "probes, volumes, logs, proxy", f"{CLUSTER}/kubelet", (0.5, 1.5, 4.9, 1.9), KUBEPROC),
    "warm": Box("warm parents", "TensorFlow is loaded", f"{CLUSTER}/warm", (6.2, 1.5, 4, 1.9), KUBEPROC),
    "pods": Box("pods", "programs as processes", "labkit/course", (11, 1.5, 3.9, 1.9), LABKIT),
    "kind": Box("kind", "Kubernetes in Docker", "realkube/kind", (16.2, 4.5, 3.7, 1.9), LABKIT),
    "existing": Box("existing", "a cluster you have", "realkube/existing", (20.1, 4.5, 4.2, 1.9), LABKIT),
}
ARROWS = {  # what happens: from one point to another
    "runs": [((2.3, 11.2), (2.3, 10.3)), ((7.5, 11.2), (7.5, 10.3))],
    "Kubernetes' and Argo's APIs": [((4.9, 8.4), (4.9, 6.4)), ((13, 8.4), (13, 6.4))],
    "starts": [((17.4, 11.2), (15.4, 6.6)), ((20, 11.2), (20, 7.3))],
    "logs, exec": [((1.6, 4.5), (1.6, 3.4))],
    "watches pods, writes their status": [((4.2, 3.4), (4.2, 4.5))],
    "asks": [((5.4, 2.45), (6.2, 2.45))],
    "fork": [((10.2, 2.45), (11, 2.45))],
}


def draw() -> matplotlib.figure.Figure:
    """The figure."""
    figure, axes = pyplot.subplots(figsize=(12, 6.9))
    axes.set_xlim(-0.3, 24.7)
    axes.set_ylim(0, 13.5)
    axes.axis("off")
    _frame(axes, (0, 1.1, 15.4, 6.2), "the embedded engine")
    _frame(axes, (15.8, 4, 8.75, 3.3), "the other engines: the same APIs")
    for box in BOXES.values():
        _box(axes, box)
    for words, ways in ARROWS.items():
        for number, (start, end) in enumerate(ways):
            _arrow(axes, start, end, "" if number else words)
    words = "blue: the package labkit,  green: the package kubeproc (in cluster/),  grey: programs of others"
    axes.text(12, 0.3, words, ha="center", color=QUIET, fontsize=9)
    return figure


def _frame(axes: Axes, place: tuple[float, float, float, float], title: str) -> None:
    left, bottom, width, height = place
    shape = FancyBboxPatch((left, bottom), width, height, boxstyle="round,pad=0,rounding_size=0.25", fill=False)
    shape.set(edgecolor=QUIET, linestyle=(0, (4, 3)), linewidth=1)
    axes.add_patch(shape)
    axes.text(left + width - 0.25, bottom + height - 0.2, title, ha="right", va="top", color=QUIET, fontsize=9)


def _box(axes: Axes, box: Box) -> None:
    left, bottom, width, height = box.place
    shape = FancyBboxPatch((left, bottom), width, height, boxstyle="round,pad=0,rounding_size=0.2", linewidth=1)
    shape.set(facecolor=box.colour, edgecolor=INK)
    axes.add_patch(shape)
    middle = left + width / 2
    axes.text(middle, bottom + height - 0.25, box.title, ha="center", va="top", color=INK, fontsize=10.5, weight="bold")
    axes.text(middle, bottom + height - 0.82, box.words, ha="center", va="top", color=INK, fontsize=8.5)
    axes.text(middle, bottom + 0.18, box.code, ha="center", va="bottom", color=QUIET, fontsize=7.5, family="monospace")


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], words: str) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": QUIET, "linewidth": 1.1})
    if words:
        middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        flat = start[1] == end[1]
        place = (middle[0], middle[1] + 0.3) if flat else (middle[0] + 0.15, middle[1])
        axes.text(*place, words, ha="center" if flat else "left", va="center", color=QUIET, fontsize=8.5)


def main() -> None:
    """Write the picture beside this file."""
    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "labkit", "svg.fonttype": "none"}
    draw().savefig(Path(__file__).with_suffix(".svg"), metadata={"Date": None}, bbox_inches="tight")


if __name__ == "__main__":
    main()
