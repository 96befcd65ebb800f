"""Connections to pods for the API server, which has no right to enter their network: the kubelet makes and passes them on.

The kubelet listens on a unix socket. A client asks for a port of a pod (by uid) and gets a descriptor of a connection to the
pod's loopback, or the error number of the attempt.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from kubeproc.warm import wire

SECONDS = 10.0
Connect = Callable[[str, int], Awaitable[socket.socket]]  # uid and port


async def borrow(path: Path, uid: str, port: int) -> socket.socket:
    """A connection to a port of the pod. OSError as from `connect`."""
    return await asyncio.to_thread(_borrow, path, uid, port)


def _borrow(path: Path, uid: str, port: int) -> socket.socket:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(SECONDS)
        sock.connect(str(path))
        wire.send(sock, {"uid": uid, "port": port})
        reader = wire.Reader(sock)
        while reader.read():
            for message, fds in reader.messages():
                if number := message.get("errno"):
                    raise OSError(number, os.strerror(number))
                found = socket.socket(fileno=fds[0])
                found.setblocking(False)
                return found
    raise ConnectionResetError("the kubelet has ended")


class Lender:
    """The kubelet's side."""

    def __init__(self, path: Path, connect: Connect) -> None:
        self.path, self.connect = path, connect
        self._listening: socket.socket | None = None
        self._work: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.setblocking(False)
        self._listening.bind(str(self.path))  # below the run folder, which only its owner may enter
        self._listening.listen(64)
        self._keep(self._accept())

    def stop(self) -> None:
        for task in self._work:
            task.cancel()
        if self._listening:
            self._listening.close()
        self.path.unlink(missing_ok=True)

    def _keep(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._work.add(task)  # type: ignore[arg-type]
        task.add_done_callback(self._work.discard)  # type: ignore[arg-type]

    async def _accept(self) -> None:
        assert self._listening
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(self._listening)
            self._keep(self._serve(sock))

    async def _serve(self, sock: socket.socket) -> None:
        with sock:
            loop = asyncio.get_running_loop()
            data = await loop.sock_recv(sock, wire.CHUNK)  # one small message, which arrives whole
            if len(data) <= wire.HEADER.size:
                return
            asked = wire.decode(data)
            try:
                async with asyncio.timeout(SECONDS):
                    made = await self.connect(asked["uid"], asked["port"])
            except OSError as error:
                await loop.sock_sendall(sock, wire.encode({"errno": error.errno or errno.ECONNREFUSED}))
                return
            with made:
                wire.send(sock, {}, [made.fileno()])
