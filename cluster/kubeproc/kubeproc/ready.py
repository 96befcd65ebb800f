"""A daemon's report to its parent, through a pipe: one byte once it answers requests, else the reason why it failed.

The pipe closes when the daemon ends, so the parent never waits forever. The parent may have ended; that is not an
error.
"""

from __future__ import annotations

import contextlib
import json
import os

from kubeproc.errors import HintedError

READY = b"\n"


def say(pipe: int | None) -> None:
    """Report that the daemon answers requests."""
    _write(pipe, READY)


def fail(pipe: int | None, error: HintedError) -> None:
    """Report that the daemon ends with this error."""
    _write(pipe, json.dumps({"message": error.message, "hint": error.hint}).encode())


def _write(pipe: int | None, data: bytes) -> None:
    if pipe is not None:
        with contextlib.suppress(OSError):  # no reader, or already reported
            os.write(pipe, data)
            os.close(pipe)


def read(pipe: int) -> bool:
    """Whether the daemon answers; False if it ended without a report, HintedError with the reason that it reported. The
    pipe must be readable."""
    said = os.read(pipe, 1)
    while said not in (b"", READY) and (more := os.read(pipe, 65536)):
        said += more
    if said.startswith(b"{"):
        why = json.loads(said)
        raise HintedError(why["message"], why["hint"])
    return said == READY
