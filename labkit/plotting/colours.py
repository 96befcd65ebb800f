"""What the colours mean, and the legend that says it. Failed and removed are hatched: they differ in grey, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#24292f"
COLOURS = {
    "Pending": "#c9d1d9",
    "Running": "#3f7fcc",
    "Succeeded": "#3f8f55",
    "Failed": "#cf4a4a",
    "Error": "#cf4a4a",
    "Removed": "#b9a5d6",
    "Skipped": "#efe6d0",
    "Omitted": "#efe6d0",
}
HATCHES = {"Failed": "////", "Error": "////", "Removed": "...."}
DARK = ("Running", "Succeeded", "Failed", "Error")  # text on these is white
MEANING = {
    "Pending": "waiting",
    "Running": "running",
    "Succeeded": "succeeded",
    "Failed": "failed",
    "Removed": "ran until it was removed",
    "Omitted": "left out",
}


def look(phase: str | None) -> dict[str, Any]:
    """How what is in that phase is filled."""
    known = phase if phase in COLOURS else "Pending"
    filled: dict[str, Any] = {"facecolor": COLOURS[known], "edgecolor": "white", "linewidth": 0}
    return filled | ({"hatch": HATCHES[known]} if known in HATCHES else {})


def legend(figure: Figure, inches: float) -> None:
    """A line that says what each colour means, `inches` above the figure's lower edge."""
    from matplotlib.patches import Patch

    handles = [Patch(**look(phase), label=word) for phase, word in MEANING.items()]
    figure.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(0.5, inches / figure.get_figheight()),
        ncols=len(handles),
        fontsize=8,
        frameon=False,
        handlelength=1.4,
        columnspacing=1.6,
        labelcolor=INK,
    )
