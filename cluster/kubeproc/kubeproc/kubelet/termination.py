"""The termination message of a container: the file that it wrote, or the end of its log. The sizes are upstream's."""

from __future__ import annotations

from pathlib import Path

from kubeproc.kubelet.logs import Options, read

LONGEST = 4096  # bytes of a message
FALLBACK, FALLBACK_LINES = 2048, 80  # bytes and lines of the log that replace a missing message


async def message(file: Path, log: Path, fallback: bool) -> str:
    """The termination message; with `fallback` the end of the log if the file is empty."""
    try:
        with file.open("rb") as opened:
            text = opened.read(LONGEST)
    except OSError:
        text = b""
    if not text and fallback:
        pieces = [piece async for piece in read(log, None, Options(tail=FALLBACK_LINES))]
        text = b"".join(pieces)[-FALLBACK:]
    return text.decode(errors="replace")
