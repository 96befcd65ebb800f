"""Waiting longer from one failure to the next: kubelet's back-off of containers and image pulls."""

from __future__ import annotations

import time
from dataclasses import dataclass

FIRST, LONGEST = 10.0, 300.0  # seconds
FORGOTTEN = 600.0  # seconds of running after which it starts anew


@dataclass
class BackOff:
    """The first failure costs nothing, the second FIRST seconds, then twice as long each time up to LONGEST."""

    first: float = FIRST
    delay: float = 0.0
    since: float = 0.0  # the latest failure, epoch

    def failed(self, ran: float = 0.0) -> float:
        """Note a failure after `ran` seconds of running; how many seconds to wait before the next attempt."""
        if ran >= FORGOTTEN:
            self.delay = 0.0
        wait = self.delay
        self.delay = min(max(self.delay * 2, self.first), LONGEST)
        self.since = time.time()
        return wait


def duration(seconds: float) -> str:
    """As Go prints a duration of whole seconds: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
