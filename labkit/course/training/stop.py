"""SIGTERM: the cluster asks the process to end, and kills it some seconds later.

A flag is raised, which the training loop looks at between two updates, to save a checkpoint first. Where the loop hangs
(a worker is gone and nothing moves), it is interrupted after a grace period.
"""

from __future__ import annotations

import os
import signal
from typing import Any

TERMINATED = 128 + signal.SIGTERM
GRACE = 5.0  # seconds


class Stop:
    """`requested` turns true on SIGTERM or SIGINT; `SystemExit(143)` is raised if that is not heeded in time."""

    def __init__(self) -> None:
        self.requested = False
        signal.signal(signal.SIGTERM, self._request)
        signal.signal(signal.SIGINT, self._request)
        signal.signal(signal.SIGALRM, self._interrupt)

    def _request(self, *_: Any) -> None:
        self.requested = True
        signal.setitimer(signal.ITIMER_REAL, GRACE)

    def _interrupt(self, *_: Any) -> None:
        raise SystemExit(TERMINATED)


def serve_until_stopped() -> None:
    """Keep this process alive for the threads that serve others, and end it on SIGTERM with code 143.

    A program that is pid 1 of its container ignores signals that it has no handler for, and a handler in Python would
    not run while the main thread waits inside TensorFlow; so the main thread waits for the signal itself.
    """
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    signal.sigwait(signals)
    os._exit(TERMINATED)  # TensorFlow's threads do not end by themselves
