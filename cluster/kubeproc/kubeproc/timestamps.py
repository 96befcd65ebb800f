"""Timestamps as Kubernetes writes them: RFC 3339, UTC, whole seconds. Times in use are seconds since the epoch."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def moment(text: str) -> datetime:
    """An RFC 3339 time, with or without a fraction, UTC if it names no zone; ValueError if it is malformed."""
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def seconds(text: str) -> float:
    """An RFC 3339 time as seconds since the epoch."""
    return moment(text).timestamp()


def seconds_or_none(text: str | None) -> float | None:
    """As `seconds`; None for a time that is not set."""
    return seconds(text) if text else None


def stamp(epoch: float) -> str:
    """Seconds since the epoch as RFC 3339."""
    return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now(later: float = 0) -> str:
    """The current time, or that many seconds later."""
    return stamp(time.time() + later)


def age(text: str) -> float:
    """Seconds since `text`."""
    return time.time() - seconds(text)
