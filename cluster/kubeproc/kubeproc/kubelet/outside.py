"""The way from pods to other networks: TCP to a few ports, through this process.

Mechanism. The router leads each connection to such a port, whatever its address, to a listener here, which connects to that
address from this machine's network and copies bytes. What can't be reached is reset, and so is an address of the cluster that
nobody has.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from socket import socket

from kubeproc.kubelet.service_proxy import Splice
from kubeproc.network import ranges
from kubeproc.network.client import Network, dial

Dial = Callable[[str, int], Awaitable[socket]]


class Outside:
    """`await start()`, `stop()`."""

    def __init__(self, network: Network, dial: Dial = dial) -> None:
        self.network, self.dial = network, dial
        self._servers: list[asyncio.Server] = []
        self._work: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        for port in self.network.outside:
            sock = await self.network.listen_outside(port)
            self._servers.append(await loop.create_server(lambda: _Front(self), sock=sock))

    def stop(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._work):
            task.cancel()

    def accept(self, front: _Front) -> None:
        task = asyncio.create_task(self._connect(front))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _connect(self, front: _Front) -> None:
        assert front.transport
        host, port = front.transport.get_extra_info("sockname")[:2]
        address = ipaddress.ip_address(host)
        try:
            if address in ranges.SERVICES or address in ranges.PODS or address.is_loopback:
                raise ConnectionRefusedError
            sock = await self.dial(host, port)
            _, back = await asyncio.get_running_loop().create_connection(Splice, sock=sock)
        except OSError:
            front.reset()
            return
        if front.transport is None:
            back.reset()
            return
        front.join(back)
        back.join(front)


class _Front(Splice):
    """The pod's side."""

    def __init__(self, outside: Outside) -> None:
        super().__init__()
        self.outside = outside

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.outside.accept(self)
