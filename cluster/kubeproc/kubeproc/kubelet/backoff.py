"""The kubelet's back-off of containers and image pulls: each failure makes the next wait longer."""

from __future__ import annotations

import time
from dataclasses import dataclass

FIRST, LONGEST = 10.0, 300.0  # seconds
FORGOTTEN = 600.0  # seconds of running that reset the back-off


@dataclass
class BackOff:
    """No wait after the first failure, FIRST seconds after the second, then twice as long each time, up to LONGEST."""

    first: float = FIRST
    delay: float = 0.0
    since: float = 0.0  # time of the latest failure, seconds of the epoch

    def failed(self, ran: float = 0.0) -> float:
        """Record a failure after `ran` seconds of running. Returns the seconds to wait before the next attempt."""
        if ran >= FORGOTTEN:
            self.delay = 0.0
        wait = self.delay
        self.delay = min(max(self.delay * 2, self.first), LONGEST)
        self.since = time.time()
        return wait


def duration(seconds: float) -> str:
    """Format whole seconds as Go prints a duration: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
