"""The figure of a workflow: notes, its tasks, what the colours mean, and its pods over time.

Its size is set when it is first drawn, from the number of pods in the workflow's manifest: a figure that grows would move the
text below it while somebody reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from labkit import plotting
from labkit.plotting.colours import INK
from labkit.plotting.timeline import rows

Object = dict[str, Any]
WIDTH = 11.0  # inches, as all below
TITLE, NOTE, GAP, ROW, AXIS, LEGEND = 0.36, 0.19, 0.18, 0.18, 0.5, 0.32
GRAPH = 3.0
LEFT, RIGHT = 1.55, 0.15
NOTES = 3  # lines
FEWEST, MOST = 6, 45  # rows


def picture(
    workflow: Object,
    history: Mapping[str, plotting.Pod],
    until: float | None = None,
    slots: int = 0,
    notes: Sequence[str] = (),
) -> Any:
    """A figure of a workflow's tasks above its pods' timeline, with room for `slots` pods and three lines of notes while it
    is drawn again and again (0: for what there is)."""
    from matplotlib import pyplot

    room = min(MOST, max(FEWEST, slots or len(rows(history.values()))))
    lines = NOTES if slots else min(NOTES, len(notes))
    height = TITLE + lines * NOTE + GRAPH + GAP + room * ROW + AXIS + LEGEND
    figure = pyplot.figure(figsize=(WIDTH, height), facecolor="white")
    # Notebooks cut off what is empty at the edges, which is not the same each time: nothing is, where this frame is.
    figure.add_artist(pyplot.Rectangle((0, 0), 1, 1, fill=False, linewidth=0, transform=figure.transFigure))

    def place(top: float, tall: float, left: float = 0.1) -> Any:
        return figure.add_axes((left / WIDTH, 1 - (top + tall) / height, (WIDTH - left - RIGHT) / WIDTH, tall / height))

    graph = place(TITLE + lines * NOTE, GRAPH)
    below = place(TITLE + lines * NOTE + GRAPH + LEGEND + GAP, room * ROW, LEFT)
    plotting.workflow(workflow, graph)
    title = graph.get_title("left")
    graph.set_title("", loc="left")
    figure.text(0.012, 1 - 0.1 / height, title, va="top", fontsize=11, color=INK)
    if until is not None:
        figure.text(0.99, 1 - 0.12 / height, stopping(workflow), va="top", ha="right", fontsize=8, color="#57606a")
    for number, note in enumerate(notes[:NOTES]):
        top = TITLE + number * NOTE
        text = note if len(note) < 150 else note[:147] + "..."
        figure.text(0.012, 1 - top / height, text, va="top", fontsize=8.5, color="#a40e26")
    plotting.timeline(history, below, until, slots=room)
    plotting.legend(
        figure, height - TITLE - lines * NOTE - GRAPH - LEGEND
    )  # above the pods: they may reach below the screen
    return figure


def stopping(workflow: Object) -> str:
    """How to end the workflow before it has ended by itself."""
    return f"to stop it: labkit.client.stop({workflow['metadata']['name']!r})"


def expected(workflow: Object) -> int:
    """How many pods the workflow will make, as far as its manifest says: of tasks that loop, and of the TFJobs, Jobs and
    Deployments that its steps make."""
    spec = workflow.get("spec") or {}
    stored = ((workflow.get("status") or {}).get("storedTemplates") or {}).values()
    templates = {t.get("name"): t for t in [*stored, *(spec.get("templates") or [])]}
    arguments = {p["name"]: str(p.get("value")) for p in (spec.get("arguments") or {}).get("parameters") or []}
    handled = [name for name in (spec.get("entrypoint"), spec.get("onExit")) if name]
    return sum(_pods(templates, name, arguments, ()) for name in handled)


def _pods(templates: Mapping[Any, Object], name: str, arguments: Mapping[str, str], above: tuple[str, ...]) -> int:
    template = templates.get(name) or {}
    if name in above or len(above) > 20:  # a template may call itself
        return 1
    if "resource" in template:
        manifest = _filled(template["resource"].get("manifest") or "", arguments)
        return 1 + sum(int(n) for n in re.findall(r"\b(?:replicas|completions):\s*(\d{1,3})\b", manifest))
    groups = [*(template.get("steps") or []), (template.get("dag") or {}).get("tasks") or []]
    tasks = [task for group in groups for task in (group if isinstance(group, list) else [group])]
    if not tasks:
        return 1
    return sum(
        _times(task, arguments) * _pods(templates, task.get("template", ""), arguments, (*above, name))
        for task in tasks
    )


def _times(task: Object, arguments: Mapping[str, str]) -> int:
    """How often a task runs."""
    if isinstance(task.get("withItems"), list):
        return len(task["withItems"])
    if task.get("withParam"):
        try:
            return len(json.loads(_filled(str(task["withParam"]), arguments)))
        except (ValueError, TypeError):
            return 3  # an earlier step will say it
    count = _filled(str((task.get("withSequence") or {}).get("count", "1")), arguments)
    return min(int(count), 1000) if count.isdigit() else 3


def _filled(text: str, arguments: Mapping[str, str]) -> str:
    return re.sub(r"{{\s*workflow\.parameters\.([\w-]+)\s*}}", lambda m: arguments.get(m[1], m[0]), text)
