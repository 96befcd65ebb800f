"""Container logs: what a program prints, kept in CRI's format and read back as `kubectl logs` wants it.

Mechanism. Pipes are read as chunks; each chunk becomes lines `TIME stream F text` with one timestamp and one write. A
line longer than 16 KB is cut into pieces flagged P, as containerd does. A file over its limit is rewritten with its
newest half, so one name always holds the newest lines; readers keep logical offsets, which the rewriting doesn't move.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

LIMIT = 10_000_000  # bytes of a log file
LONGEST = 16 * 1024  # bytes of a line before it is cut
BLOCK = 256 * 1024  # bytes handled before other tasks get their turn


def stamp(nanoseconds: int | None = None) -> bytes:
    """RFC 3339 with nanoseconds in UTC. All stamps have the same length, so they sort as text."""
    ns = time.time_ns() if nanoseconds is None else nanoseconds
    return f"{datetime.fromtimestamp(ns // 1_000_000_000, UTC):%Y-%m-%dT%H:%M:%S}.{ns % 1_000_000_000:09d}Z".encode()


class Log:
    """The log of one run of a container: written here, read by `read`, followed through `grown`."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self.path, self.limit = path, limit
        self.dropped = 0  # bytes that rotation took away from the front
        self.closed = False
        self._partial: dict[str, bytes] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = 0

    def feed(self, stream: str, data: bytes) -> None:
        """Add output of `stream` (stdout or stderr); an unfinished line waits for its end."""
        lines = (self._partial.pop(stream, b"") + data).split(b"\n")
        rest = lines.pop()
        head = stamp() + b" " + stream.encode()
        full, part = head + b" F ", head + b" P "
        out: list[bytes] = []
        for line in lines:
            while len(line) > LONGEST:
                out.append(part + line[:LONGEST] + b"\n")
                line = line[LONGEST:]
            out.append(full + line + b"\n")
        while len(rest) > LONGEST:
            out.append(part + rest[:LONGEST] + b"\n")
            rest = rest[LONGEST:]
        if rest:
            self._partial[stream] = rest
        self._write(b"".join(out))

    def end(self, stream: str) -> None:
        """Write the unfinished line of a stream that has ended."""
        if rest := self._partial.pop(stream, b""):
            self._write(stamp() + b" " + stream.encode() + b" F " + rest + b"\n")

    def close(self) -> None:
        if not self.closed:
            for stream in list(self._partial):
                self.end(stream)
            self.closed = True
            os.close(self._fd)
            self._wake()

    def _write(self, data: bytes) -> None:
        if not data or self.closed:
            return
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
            self._size += len(data)
            if self._size > self.limit:
                self._rotate()
        except OSError:  # a full disk loses lines of the log, and does not end the pod
            os.ftruncate(
                self._fd, self._size
            )  # so that lines written after there is room again start at a line's beginning
        self._wake()

    def _rotate(self) -> None:
        kept = self.path.read_bytes()[-self.limit // 2 :]
        kept = kept[kept.find(b"\n") + 1 :]
        fresh = self.path.with_suffix(".new")
        try:
            fresh.write_bytes(kept)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        fresh.chmod(0o600)
        os.replace(fresh, self.path)
        os.close(self._fd)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self.dropped += self._size - len(kept)
        self._size = len(kept)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def grown(self) -> None:
        """Wait until something is written or the log is closed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)


@dataclass(frozen=True)
class Options:
    """The options of `kubectl logs`; `since` is the earliest time, in the format of `stamp`."""

    follow: bool = False
    tail: int | None = None  # lines
    since: bytes = b""
    timestamps: bool = False
    limit: int | None = None  # bytes


def _tail(data: bytes, lines: int) -> int:
    """The offset at which the last `lines` lines of `data` begin."""
    if lines <= 0:
        return len(data)
    at = len(data)
    for _ in range(lines):
        at = data.rfind(b"\n", 0, max(at - 1, 0)) + 1
        if at == 0:
            break
    return at


def _plain(data: bytes, options: Options) -> bytes:
    """Convert CRI lines to what a reader sees."""
    out: list[bytes] = []
    for line in data.split(b"\n")[:-1]:
        parts = line.split(b" ", 3)
        if len(parts) < 4 or parts[0] < options.since:
            continue
        when, _, tag, text = parts
        if options.timestamps:
            out.append(when + b" ")
        out.append(text + b"\n" if tag == b"F" else text)
    return b"".join(out)


def _from(path: Path, offset: int, size: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError:
        return b""


async def read(path: Path, log: Log | None, options: Options) -> AsyncIterator[bytes]:
    """Yield the lines of the file at `path` in pieces; `log` is its writer, while it is being written."""
    left = options.limit
    dropped = log.dropped if log else 0
    offset = 0
    if options.tail is not None:
        offset = _tail(_from(path, 0), options.tail)
    offset += dropped
    while True:
        dropped = log.dropped if log else 0
        closed = log is None or log.closed
        data = _from(path, max(offset - dropped, 0), BLOCK)
        data = data[: data.rfind(b"\n") + 1]
        offset = max(offset, dropped) + len(data)
        text = _plain(data, options)
        if left is not None:
            text = text[:left]
            left -= len(text)
        if text:
            yield text
        if left == 0:
            return
        if data:
            await asyncio.sleep(0)
        elif log is None or closed or not options.follow:
            return
        else:
            await log.grown()
