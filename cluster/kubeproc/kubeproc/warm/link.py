"""The child's end of the line to its parent, over which it reports its progress."""

from __future__ import annotations

import json
import os
import socket
from typing import Any, NoReturn

FAILED = 127


class Link:
    """The child's end of the line to its parent; closed by exec."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def say(self, state: str, **more: Any) -> None:
        self.sock.sendall(json.dumps({"state": state, **more}).encode() + b"\n")

    def fail(self, error: BaseException) -> NoReturn:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        number = error.errno if isinstance(error, OSError) and error.errno else 0
        self.say("failed", error=text or type(error).__name__, errno=number)
        os._exit(FAILED)

    def close(self) -> None:
        self.sock.close()
