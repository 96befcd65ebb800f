"""Text for a person, whose terminal or pipe may be gone, or may not have every character.

A reader that goes away (`labkit run ... | head -1`) is not an error of the command: its exit code says what it did.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from labkit.errors import LabError


def prepare() -> None:
    """Show a character that the terminal's encoding lacks as an escape, instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: object, stream: TextIO | None = None) -> None:
    """Print `text` at once. Without a reader it is dropped; LabError where standard output can't be written, as on a full
    disk."""
    stream = stream or sys.stdout
    if stream is None:  # the descriptor was closed before the program began
        return
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        discard(stream)
    except OSError as error:
        discard(stream)
        if stream is sys.stdout:
            raise LabError(
                f"standard output can't be written: {error.strerror}", "redirect it to a disk with free space"
            ) from error


def discard(stream: TextIO) -> None:
    """Send what follows, and what the stream still holds, to /dev/null: Python would fail on it once more as it ends."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # a stream in memory
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
