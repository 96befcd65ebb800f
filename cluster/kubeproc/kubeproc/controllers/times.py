"""Conversion of Kubernetes timestamps: whole seconds, UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def seconds(text: str) -> float:
    """An RFC 3339 time as seconds since the epoch."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def age(text: str) -> float:
    """Seconds since `text`."""
    return time.time() - seconds(text)


def stamp(epoch: float) -> str:
    """Seconds since the epoch as RFC 3339."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def soonest(*delays: float | None) -> float | None:
    """The smallest of the delays that are not None: the result of a controller that waits for several things."""
    return min((d for d in delays if d is not None), default=None)
