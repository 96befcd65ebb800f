"""What a container says at its end: the file it wrote, or the end of its log. Sizes are upstream's."""

from __future__ import annotations

from pathlib import Path

from labkit.embedded.kubelet.logs import Options, read

LONGEST = 4096  # bytes of a message
FALLBACK, FALLBACK_LINES = 2048, 80  # bytes and lines of the log that stand in for one


async def message(file: Path, log: Path, fallback: bool) -> str:
    """The termination message; empty where there is none, and none is taken from the log."""
    try:
        with file.open("rb") as opened:
            text = opened.read(LONGEST)
    except OSError:
        text = b""
    if not text and fallback:
        pieces = [piece async for piece in read(log, None, Options(tail=FALLBACK_LINES))]
        text = b"".join(pieces)[-FALLBACK:]
    return text.decode(errors="replace")
