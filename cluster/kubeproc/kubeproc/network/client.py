"""The kubelet's side of the router: sandboxes for pods, and sockets in the cluster's network or in a pod's.

Mechanism. One request after the other goes to the router, which answers in order. A router that dies takes nothing with it: the
descriptors of its namespaces are kept here, and the next request starts another one in them.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kubeproc
from kubeproc.folder import appended
from kubeproc.network import ranges
from kubeproc.warm import wire

PARENT = Path(kubeproc.__file__).parent.parent
PROBE = 10.0  # seconds that the attempt may take
BATCH = 16  # sockets of the cluster's network that are fetched at once
MODULE = "kubeproc.network.router"


class NoNetwork(OSError):
    """The router can't be started, or refuses."""


class Sandbox:
    """A pod's network namespace, which lives as long as this is open or a process runs in it."""

    def __init__(self, network: Network, ip: str, fd: int) -> None:
        self.network, self.ip, self.fd = network, ip, fd

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self.network.release(self.ip)

    async def connect(self, port: int) -> socket.socket:
        """A connection to the pod's loopback, where a program that binds to localhost listens. OSError as from `connect`."""
        if self.fd < 0:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "the pod has ended")
        sock = (await self.network.sockets("stream", 1, self.fd))[0]
        return await _connected(sock, ("127.0.0.1", port))


class Network:
    """`await start()`, `await sandbox(...)`, `await connect(...)`, `await listen(...)`, `stop()`; on one event loop."""

    def __init__(self, log: Path, user: bool | None = None, outside: Sequence[int] = ()) -> None:
        """`outside` are the TCP ports of other networks that pods reach (`listen_outside`)."""
        self.log, self.outside = log, list(outside)
        self.user = os.geteuid() != 0 if user is None else user
        self.namespaces: list[int] = []  # the user namespace's, if there is one, and the network's
        self.pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._reader: wire.Reader | None = None
        self._waiting: deque[asyncio.Future[list[int]]] = deque()
        self._starting: asyncio.Task[None] | None = None
        self._stopped = False
        self._links = itertools.count(100 + int(time.time() * 1000) % 1_000_000_000)
        self._spare: list[socket.socket] = []
        self._given: dict[str, str] = {}  # ip -> namespace/name of the pod

    @property
    def users(self) -> int | None:
        """The descriptor of the user namespace that owns the network; None where root owns it."""
        return self.namespaces[0] if self.user and self.namespaces else None

    # -- the router ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the router, if it does not run. NoNetwork if the kernel does not let it."""
        if self._sock is not None:
            return
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        self._process = _start_router(theirs, self.user, self.log, self.namespaces, self.outside)
        self._sock, self._reader = ours, wire.Reader(ours)
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[list[int]] = loop.create_future()
        self._waiting.appendleft(ready)
        loop.add_reader(ours, self._receive)
        fds = await ready
        if self.namespaces:
            for fd in fds:
                os.close(fd)
        else:
            self.namespaces = fds

    def _receive(self) -> None:
        assert self._reader
        if not self._reader.read():
            self._lose()
            return
        for message, fds in self._reader.messages():
            self.pid = message.get("pid", self.pid)
            future = self._waiting.popleft()
            if future.done():
                for fd in fds:
                    os.close(fd)
            elif message["event"] == "failed":
                future.set_exception(NoNetwork(message["errno"], message["error"]))
            else:
                future.set_result(fds)

    def _lose(self) -> None:
        """The router is gone: those that wait for it hear so, and the next request starts another one."""
        if self._sock is None:
            return
        asyncio.get_running_loop().remove_reader(self._sock)
        self._sock.close()
        self._sock = None
        if self._process:
            self._process.kill()
            self._process.wait()
        waiting, self._waiting = self._waiting, deque()
        for future in waiting:
            if not future.done():
                future.set_exception(NoNetwork(0, f"the router has ended, see {self.log}"))

    async def _ask(self, message: wire.Message, fds: Sequence[int] = ()) -> list[int]:
        await self.start()
        assert self._sock
        future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            wire.send(self._sock, message, fds)
        except OSError:
            self._lose()
        return await future

    async def _insist(self, message: wire.Message, fds: Sequence[int] = ()) -> list[int]:
        """Ask, and once more if the router died meanwhile."""
        try:
            return await self._ask(message, fds)
        except NoNetwork as error:
            if error.errno or self._stopped:
                raise
        return await self._ask(message, fds)

    def stop(self) -> None:
        """End the router and forget its namespaces. Sockets that were made in them go on."""
        self._stopped = True
        if self._sock is not None:
            self._lose()
        for sock in self._spare:
            sock.close()
        for fd in self.namespaces:
            os.close(fd)
        self._spare, self.namespaces = [], []

    # -- pods ----------------------------------------------------------------------------------------------------------

    async def sandbox(self, pod: str) -> Sandbox:
        """A network namespace for the pod `namespace/name`, with an address that goes with its name while that is free: clients
        which resolve a name rarely (gRPC, every 30 s) find a pod that has come back."""
        ip = self._address(pod)
        try:
            (fd,) = await self._insist({"op": "sandbox", "ip": ip, "index": next(self._links)})
        except BaseException:
            self.release(ip)
            raise
        return Sandbox(self, ip, fd)

    def _address(self, pod: str) -> str:
        ip = ranges.address_of(pod, ranges.PODS, self._given)
        self._given[ip] = pod
        return ip

    def release(self, ip: str) -> None:
        """The address may be given to another pod."""
        self._given.pop(ip, None)

    # -- sockets -------------------------------------------------------------------------------------------------------

    async def sockets(self, kind: str, count: int, netns: int | None = None) -> list[socket.socket]:
        """Unconnected sockets in the cluster's network, or in the namespace behind the descriptor `netns`."""
        fds = await self._insist({"op": "sockets", "kind": kind, "count": count}, [] if netns is None else [netns])
        found = [socket.socket(fileno=fd) for fd in fds]
        for sock in found:
            sock.setblocking(False)
        return found

    async def connect(self, ip: str, port: int) -> socket.socket:
        """A connection from the cluster's network to a pod or a Service. OSError as from `connect`."""
        if not self._spare:
            self._spare += await self.sockets("stream", BATCH)
        return await _connected(self._spare.pop(), (ip, port))

    async def listen_outside(self, port: int) -> socket.socket:
        """A socket that accepts pods' connections to this port of other networks: `getsockname` says to which address."""
        return await self.listen("0.0.0.0", port, kind="transparent")

    async def listen(self, ip: str, port: int, backlog: int = 512, kind: str = "stream") -> socket.socket:
        """A socket that listens at an address of the cluster's network."""
        sock = (await self.sockets(kind, 1))[0]
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # A Service's port beside that of all other networks (`listen_outside`): the kernel prefers the exact address.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((ip, port))
            sock.listen(backlog)
        except OSError:
            sock.close()
            raise
        return sock

    async def datagram(self, ip: str, port: int) -> socket.socket:
        """A UDP socket bound to an address of the cluster's network."""
        sock = (await self.sockets("datagram", 1))[0]
        try:
            sock.bind((ip, port))
        except OSError:
            sock.close()
            raise
        return sock


async def dial(host: str, port: int) -> socket.socket:
    """A connection in this process's own network. OSError as from `connect`."""
    failed: OSError = OSError(f"{host} has no address")
    for family, kind, _, _, address in await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind)
        sock.setblocking(False)
        try:
            return await _connected(sock, address)
        except OSError as error:
            failed = error
    raise failed


async def _connected(sock: socket.socket, address: Any) -> socket.socket:
    try:
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def missing(log: Path) -> str:
    """Why pods can't have a network of their own here; "" if they can. Tries it, with one pod and one connection. Without an
    event loop, since the caller's thread may run one, as a notebook's does."""
    ours, theirs = socket.socketpair()
    process = _start_router(theirs, os.geteuid() != 0, log)
    opened: list[int] = []
    try:
        with ours:
            ours.settimeout(PROBE)
            reader = wire.Reader(ours)
            opened += _answer(reader, log)
            _try(ours, reader, log, opened)
    except OSError as error:
        return error.strerror or str(error)
    finally:
        for fd in opened:
            os.close(fd)
        process.kill()
        process.wait()
    return ""


def _try(sock: socket.socket, reader: wire.Reader, log: Path, opened: list[int]) -> None:
    def ask(message: wire.Message, fds: Sequence[int] = ()) -> list[int]:
        wire.send(sock, message, fds)
        opened.extend(found := _answer(reader, log))
        return found

    ask({"op": "probe"})
    ip = ranges.address_of("kube-system/probe", ranges.PODS, ())
    (netns,) = ask({"op": "sandbox", "ip": ip, "index": 100})
    (inside,) = ask({"op": "sockets", "kind": "stream", "count": 1}, [netns])
    (outside,) = ask({"op": "sockets", "kind": "stream", "count": 1})
    with socket.socket(fileno=os.dup(inside)) as door, socket.socket(fileno=os.dup(outside)) as asker:
        door.bind((ip, 0))
        door.listen()
        asker.settimeout(PROBE)
        asker.connect(door.getsockname())


def _answer(reader: wire.Reader, log: Path) -> list[int]:
    """The descriptors of the router's next answer. NoNetwork if it refuses or has ended."""
    while reader.read():
        for message, fds in reader.messages():
            if message["event"] == "failed":
                raise NoNetwork(message["errno"], message["error"])
            return fds
    raise NoNetwork(0, f"the router has ended, see {log}")


def _start_router(
    sock: socket.socket, user: bool, log: Path, join: Sequence[int] = (), outside: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a router that answers at this end of a pair, which is closed here."""
    command = [sys.executable, "-S", "-m", MODULE, "--socket", str(sock.fileno()), "--starter", str(os.getpid())]
    if user:
        command.append("--user")
    if outside:
        command += ["--outside", ",".join(map(str, outside))]
    if join:
        command += ["--join", ",".join(map(str, join))]
    with sock, appended(log) as output:
        return subprocess.Popen(
            command,
            env={"PYTHONPATH": str(PARENT)},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[sock.fileno(), *join],
            start_new_session=True,
        )
