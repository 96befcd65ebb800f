"""The exception that probes, hooks and the HTTP client of probes share."""

from __future__ import annotations


class Failure(Exception):
    """The probe or hook failed; the message is that of the event."""
