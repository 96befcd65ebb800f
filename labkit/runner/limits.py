"""The numbers that a run is given, checked before anything runs."""

from __future__ import annotations

import math

from labkit.errors import LabError

WEEK = 7 * 24 * 3600


def check(*, timeout: float, cell_timeout: float, jobs: int | None) -> None:
    """LabError for a number that is not finite or out of range."""
    for option, seconds in (("--timeout", timeout), ("--cell-timeout", cell_timeout)):
        if not math.isfinite(seconds) or not 1 <= seconds <= WEEK:
            raise LabError(
                f"{option} {seconds:g}: a limit is from 1 second to a week ({WEEK})", "leave it out for the default"
            )
    if jobs is not None and jobs < 1:
        raise LabError(f"--jobs {jobs}: at least one notebook runs at a time", "leave it out for half of the CPUs")
