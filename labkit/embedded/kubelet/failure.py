"""The one word that probes, hooks and what they ask share."""

from __future__ import annotations


class Failure(Exception):
    """The probe or hook failed; the event's words."""
