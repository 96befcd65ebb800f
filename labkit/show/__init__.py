"""What a notebook shows of a cluster at work: a workflow while it runs and after it, a manifest, the cluster's state.

`follow` watches a workflow to its end, `again` draws it once more, `yaml` shows a manifest with highlighting. A view is a
watch: nothing is polled.
"""

from labkit import plotting
from labkit.show.live import Followed, Stopped, again, follow
from labkit.show.manifest import yaml
from labkit.show.picture import picture
from labkit.show.recorder import Recorder
from labkit.show.status import watch_status

__all__ = [
    "Followed",
    "Recorder",
    "Stopped",
    "again",
    "follow",
    "picture",
    "plotting",
    "watch_status",
    "yaml",
]
