"""What a daemon tells who started it, through a pipe: one byte once it answers, else why it never will.

The pipe's other end closes with the daemon, so nobody waits in vain; who started it may be gone, and that is no failure.
"""

from __future__ import annotations

import contextlib
import json
import os

from labkit.errors import LabError

READY = b"\n"


def say(pipe: int | None) -> None:
    """The daemon answers."""
    _write(pipe, READY)


def fail(pipe: int | None, error: LabError) -> None:
    """The daemon ends, by this error."""
    _write(pipe, json.dumps({"message": error.message, "hint": error.hint}).encode())


def _write(pipe: int | None, data: bytes) -> None:
    if pipe is not None:
        with contextlib.suppress(OSError):  # nobody reads, or it has been said already
            os.write(pipe, data)
            os.close(pipe)


def read(pipe: int) -> bool:
    """Whether the daemon answers; False when it ended without a word, LabError with its reason. The pipe is readable."""
    said = os.read(pipe, 1)
    while said not in (b"", READY) and (more := os.read(pipe, 65536)):
        said += more
    if said.startswith(b"{"):
        why = json.loads(said)
        raise LabError(why["message"], why["hint"])
    return said == READY
