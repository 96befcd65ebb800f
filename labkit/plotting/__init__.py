"""The course's figures of a cluster at work, drawn from API objects and nothing else.

A workflow is drawn from its `status.nodes`, pods from the times at which their phases were seen to change. Colours mean
the same everywhere (`plotting.colours`).
"""

from labkit.plotting.colours import COLOURS, legend
from labkit.plotting.graph import workflow
from labkit.plotting.labels import duration, label
from labkit.plotting.tasks import levels, places, remembered, tasks
from labkit.plotting.timeline import Pod, timeline

__all__ = [
    "COLOURS",
    "Pod",
    "duration",
    "label",
    "legend",
    "levels",
    "places",
    "remembered",
    "tasks",
    "timeline",
    "workflow",
]
