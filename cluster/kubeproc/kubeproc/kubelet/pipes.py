"""Reads and writes a program's pipes on the event loop, without a thread or a stream object for each."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

CHUNK = 65536
DRAIN = 1.0  # seconds that a pipe may stay open after its program has ended


class Pump:
    """Reads `fd` to its end, passes each piece to `feed`, and closes `fd`. `done` is resolved at the end."""

    def __init__(self, fd: int, feed: Callable[[bytes], None]) -> None:
        self.fd, self.feed = fd, feed
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()
        self.paused = False
        os.set_blocking(fd, False)
        self.loop.add_reader(fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self.fd, CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: the other side of the terminal is closed
            data = b""
        if data:
            self.feed(data)
        else:
            self.close()

    def pause(self) -> None:
        """Stop reading until `resume`."""
        if not self.done.done() and not self.paused:
            self.paused = True
            self.loop.remove_reader(self.fd)

    def resume(self) -> None:
        if not self.done.done() and self.paused:
            self.paused = False
            self.loop.add_reader(self.fd, self._read)

    def close(self) -> None:
        if not self.done.done():
            self.loop.remove_reader(self.fd)
            os.close(self.fd)
            self.done.set_result(None)


async def write(fd: int, data: bytes) -> None:
    """Write all of `data` to the pipe; BrokenPipeError if its reader is gone."""
    loop = asyncio.get_running_loop()
    os.set_blocking(fd, False)
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            ready: asyncio.Future[None] = loop.create_future()
            loop.add_writer(fd, lambda f=ready: f.done() or f.set_result(None))  # type: ignore[misc]
            try:
                await ready
            finally:
                loop.remove_writer(fd)
