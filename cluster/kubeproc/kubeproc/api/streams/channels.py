"""The subprotocols of exec, attach and port-forward, and the conversion of their messages to and from the kubelet's
form.

In every one of them a message belongs to a channel. In the binary subprotocols its first byte is the channel's number;
in the base64 ones its first character is that digit, followed by base64. A client that names no subprotocol speaks the
oldest one. Before version 4 the error channel carries only the message of a failure; since version 4 it always carries
a Status. Only version 5 can close a channel. Sources: apimachinery's pkg/util/httpstream/wsstream, kubelet's
pkg/cri/streaming.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kubeproc.api_errors import bad_request

V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
STDOUT, ERROR, CLOSE = 1, 3, 255


@dataclass(frozen=True)
class Subprotocol:
    """The encoding of one subprotocol; `name` is None if the client names none."""

    name: str | None
    version: int
    text: bool = False

    def decode(self, message: bytes | str) -> bytes | None:
        """A client's message in the kubelet's form; None if it must be ignored. ValueError if it is malformed."""
        data = message.encode() if isinstance(message, str) else message
        if self.text and data:
            data = bytes([data[0] - ord("0") & 0xFF]) + base64.b64decode(data[1:], validate=True)
        return None if data[:1] == bytes([CLOSE]) and self.version < 5 else data

    def encode(self, message: bytes) -> bytes | str:
        """The kubelet's message in this client's encoding."""
        return chr(ord("0") + message[0]) + base64.b64encode(message[1:]).decode() if self.text else message

    def ending(self, status: bytes) -> bytes | str | None:
        """The message that reports how a program ended, from its Status as JSON; None if there is nothing to report."""
        if self.version >= 4:
            return self.encode(bytes([ERROR]) + status)
        found = json.loads(status)
        return self.encode(bytes([ERROR]) + found["message"].encode()) if found["status"] == "Failure" else None


EXEC = {
    s.name: s
    for s in (
        Subprotocol(V5, 5),
        Subprotocol(V4, 4),
        Subprotocol("v4.base64.channel.k8s.io", 4, text=True),
        Subprotocol("channel.k8s.io", 1),
        Subprotocol("base64.channel.k8s.io", 1, text=True),
        Subprotocol(None, 1),
    )
}
FORWARD = {
    s.name: s
    for s in (
        Subprotocol(V4, 4),
        Subprotocol("v4.base64.channel.k8s.io", 4, text=True),
        Subprotocol(None, 4),
    )
}


def choose(offered: Sequence[str], known: Mapping[str | None, Subprotocol]) -> Subprotocol:
    """The newest version of exec if it is offered, else the first known one; 400 if all offered ones are unknown.

    A real API server handles version 5 itself, and leaves other clients to the kubelet, which takes the first."""
    if V5 in offered and V5 in known:
        return known[V5]
    candidates: list[str | None] = [*offered] or [None]
    for name in candidates:
        if name in known:
            return known[name]
    served = [name for name in known if name]
    raise bad_request(f"unable to upgrade: none of the subprotocols {[*offered]} is one of {served}")
