"""Durations as kubectl prints them: `5s`, `3m10s`, `2d4h` (HumanDuration)."""

from __future__ import annotations

from kubeproc import timestamps


def human(seconds: float) -> str:
    """A duration in seconds as kubectl prints it; `<invalid>` if it lies more than a second in the future."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 0:
        return "0s"
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 24 * 8:
        return _two(days, "d", hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{days}d"
    if hours < 24 * 365 * 8:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(large: int, unit: str, small: int, smaller: str) -> str:
    return f"{large}{unit}{small}{smaller}" if small else f"{large}{unit}"


def age(text: str | None) -> str:
    """How long ago the RFC 3339 time `text` was; `<unknown>` without one, `<invalid>` if it can't be parsed."""
    if not text:
        return "<unknown>"
    try:
        return human(timestamps.age(text))
    except (ValueError, TypeError):
        return "<invalid>"
