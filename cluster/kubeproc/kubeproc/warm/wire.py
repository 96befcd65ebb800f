"""Messages over a unix stream socket: a length, JSON, and the file descriptors that belong to it.

Descriptors arrive with or before the first byte of their message, in order, so a message that says how many it brings
(`fds`) takes them from the front of a queue. Nothing here needs Linux.
"""

from __future__ import annotations

import json
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

HEADER = struct.Struct("!I")
CHUNK = 1 << 16
MAX_FDS = 64
CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

Message = dict[str, Any]


def encode(message: Message, fds: Sequence[int] = ()) -> bytes:
    body = json.dumps(message | ({"fds": len(fds)} if fds else {})).encode()
    return HEADER.pack(len(body)) + body


def decode(data: bytes) -> Message:
    """The one whole message in `data`."""
    return json.loads(data[HEADER.size :])  # type: ignore[no-any-return]


class Reader:
    """Collects bytes and descriptors, and returns whole messages."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.bytes = bytearray()
        self.fds: deque[int] = deque()

    def read(self) -> bool:
        """Read what has arrived; False at the end or reset of the stream. Raises BlockingIOError."""
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, CHUNK, MAX_FDS, CLOEXEC)
        except ConnectionResetError:
            return False
        self.fds.extend(fds)
        self.bytes += data
        return bool(data)

    def deliver(self, take: Callable[[Message], object]) -> bool:
        """Read as `read` does, and pass each whole message to `take`. For streams without descriptors."""
        more = self.read()
        for message, _ in self.messages():
            take(message)
        return more

    def messages(self) -> Iterator[tuple[Message, list[int]]]:
        while len(self.bytes) >= HEADER.size:
            (size,) = HEADER.unpack_from(self.bytes)
            if len(self.bytes) < HEADER.size + size:
                return
            message = json.loads(bytes(self.bytes[HEADER.size : HEADER.size + size]))
            del self.bytes[: HEADER.size + size]
            yield message, [self.fds.popleft() for _ in range(message.get("fds", 0))]


def send(sock: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Send the whole message on a blocking socket."""
    data = encode(message, fds)
    sent = socket.send_fds(sock, [data], list(fds)) if fds else 0
    sock.sendall(data[sent:])
