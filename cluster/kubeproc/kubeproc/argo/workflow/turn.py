"""The turn of one pass: how long it may make pods, and when the workflow wants the next one.

Mechanism. To make many pods takes long, and other workflows wait meanwhile. A pass therefore makes pods for a share of time
only, and asks for another pass at once. Whatever else waits for a moment (a back-off, a deadline) asks for a pass at that
moment; the earliest one counts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

MAKING = 0.03  # seconds of CPU for which new pods are made before other workflows get their turn


class ParallelismReached(Exception):
    """Not now: enough runs already, or this pass has taken its turn."""


@dataclass
class Turn:
    """`again` is the number of seconds after which the workflow wants another pass without an event; None: it wants none.
    `spent` says that the pass has made pods for long enough: the next one starts what has not begun."""

    clock: float
    again: float | None = None
    spent: bool = False
    _begun: float = field(default_factory=time.thread_time)
    _until: float | None = None

    def spend(self) -> None:
        """Call this before making a pod. ParallelismReached, with another pass at once, when the turn is over. A pass over many
        nodes makes pods for as long as it took to reach the first one, so that it is worth the walk."""
        now = time.thread_time()
        if self._until is None:
            self._until = now + max(MAKING, now - self._begun)
        elif now > self._until:
            self.again, self.spent = 0.0, True
            raise ParallelismReached

    def wake_at(self, moment: float) -> None:
        """Ask for another pass at `moment` (seconds since the epoch)."""
        delay = max(moment - self.clock, 0.01)
        self.again = delay if self.again is None else min(self.again, delay)
