"""The Service proxy: listens at the address of each Service and distributes connections among its ready endpoints.

Mechanism. Two watches (Services, EndpointSlices) maintain a table `address and port -> endpoints`. A listener for each port
accepts connections, picks the endpoints in turn, and copies bytes between two sockets. Where pods have a network of their own
the Services' addresses lie in it, and the listeners' sockets come from there; a port without a ready endpoint has no listener,
so that the kernel refuses connections. Elsewhere, and for node ports, they are host ports: one without a ready endpoint keeps
listening and resets each connection, since no other program may take the port.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import defaultdict
from typing import Any

from kubeproc.kubelet.api_client import Api
from kubeproc.kubelet.env import host_ports
from kubeproc.network import ranges
from kubeproc.network.client import Network, dial

Object = dict[str, Any]
Endpoint = tuple[str, int]
log = logging.getLogger("kubelet")
HOST = "127.0.0.1"
SERVICE_LABEL = "kubernetes.io/service-name"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close by RST
HIGH_WATER = 256 * 1024
AGAIN = 1.0  # seconds between two attempts to bind a port that is in use


class Splice(asyncio.Protocol):
    """One side of a connection: writes what it receives to `other`, at the other's pace."""

    def __init__(self) -> None:
        self.other: Splice | None = None
        self.transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(HIGH_WATER)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def join(self, other: Splice) -> None:
        """Connect both sides, and forward the bytes that arrived before."""
        self.other, other.other = other, self
        assert other.transport
        for data in self._early:
            other.transport.write(data)
        self._early = []
        if self._ended:
            self.eof_received()

    def data_received(self, data: bytes) -> None:
        if self.other and self.other.transport:
            self.other.transport.write(data)
        else:
            self._early.append(data)

    def eof_received(self) -> bool:
        self._ended = True
        if self.other and self.other.transport and self.other.transport.can_write_eof():
            self.other.transport.write_eof()
        return not (self.other and self.other._ended)  # the other direction may stay open

    def pause_writing(self) -> None:
        if self.other and self.other.transport:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other and self.other.transport and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self.other and self.other.transport:
            (self.other.reset if error else self.other.transport.close)()
        self.transport = None

    def reset(self) -> None:
        if self.transport:
            sock = self.transport.get_extra_info("socket")
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()


class Front(Splice):
    """The client's side: looks for an endpoint as soon as it is connected."""

    def __init__(self, port: Port) -> None:
        super().__init__()
        self.port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.port.accept(self)


class Port:
    """A port of a Service. `network` is the one that pods have of their own."""

    def __init__(self, address: Endpoint, network: Network | None) -> None:
        self.address, self.network = address, network
        self.endpoints: list[Endpoint] = []
        self.turn = 0
        self._work: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                host, port = self.address
                if self.network and host != HOST:
                    sock = await self.network.listen(host, port)
                    self._server = await loop.create_server(lambda: Front(self), sock=sock)
                else:
                    self._server = await loop.create_server(lambda: Front(self), host, port, backlog=512)
                return
            except OSError as error:
                log.warning("%s:%d of a Service: %s", *self.address, error)
                await asyncio.sleep(AGAIN)

    def accept(self, front: Front) -> None:
        task = asyncio.create_task(self._connect(front))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _connect(self, front: Front) -> None:
        """Try the endpoints one after the other, starting with the next in turn; reset the connection if none answers."""
        endpoints = self.endpoints
        self.turn += 1
        for n in range(len(endpoints)):
            host, port = endpoints[(self.turn + n) % len(endpoints)]
            try:
                sock = await (self.network.connect if self.network and host != HOST else dial)(host, port)
                _, back = await asyncio.get_running_loop().create_connection(Splice, sock=sock)
            except OSError:
                continue
            if front.transport is None:
                back.reset()
                return
            front.join(back)
            back.join(front)
            return
        front.reset()

    async def close(self) -> None:
        self._opening.cancel()
        for task in list(self._work):
            task.cancel()
        if self._server:
            self._server.close()


def host_ports_of(pod: Object, ip: str, network: Network) -> list[Port]:
    """The host ports that a pod asks for, on this machine's loopback, each connected to the container's port."""
    found = []
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                found.append(Port((HOST, port["hostPort"]), network))
                found[-1].endpoints = [(ip, port["containerPort"])]
    return found


class Proxy:
    """`api_port` is the host port of the API server, which has an address in the pods' network."""

    def __init__(self, api: Api, network: Network | None = None, api_port: int = 0) -> None:
        self.api, self.network, self.api_port = api, network, api_port
        self.services: dict[str, Object] = {}  # namespace/name -> Service
        self.slices: dict[str, Object] = {}  # namespace/name -> EndpointSlice
        self.ports: dict[Endpoint, Port] = {}

    async def run(self) -> None:
        """Follow the API until this is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow("/api/v1/services", self.services))
            group.create_task(self._follow("/apis/discovery.k8s.io/v1/endpointslices", self.slices))

    async def stop(self) -> None:
        for port in self.ports.values():
            await port.close()
        self.ports.clear()

    async def _follow(self, path: str, table: dict[str, Object]) -> None:
        async for change in self.api.watch(path):
            if change.type == "SYNC":
                table.clear()
                table.update({_key(obj): obj for obj in change.objects})
            elif change.type == "DELETED":
                table.pop(_key(change.object), None)
            else:
                table[_key(change.object)] = change.object
            await self._apply()

    async def _apply(self) -> None:
        wanted = routes(self.services.values(), self.slices.values(), self.network is not None)
        if self.network:
            wanted[ranges.API, 443] = [(HOST, self.api_port)]
        for address in set(self.ports) - set(wanted):
            await self.ports.pop(address).close()
        for address, endpoints in wanted.items():
            if address not in self.ports:
                self.ports[address] = Port(address, self.network)
            self.ports[address].endpoints = endpoints


def _key(obj: Object) -> str:
    return f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def routes(services: Any, slices: Any, own_network: bool = False) -> dict[Endpoint, list[Endpoint]]:
    """Map each address and port of the Services that need a proxy to its ready endpoints: host ports, and where pods have a
    network of their own the Services' addresses in it."""
    by_service: dict[str, list[Object]] = defaultdict(list)
    for slice in slices:
        name = (slice["metadata"].get("labels") or {}).get(SERVICE_LABEL)
        if name:
            by_service[f"{slice['metadata'].get('namespace', '')}/{name}"].append(slice)
    out: dict[Endpoint, list[Endpoint]] = {}
    for service in services:
        numbers = host_ports(service)
        if service["spec"].get("clusterIP") in (None, "", "None"):
            continue
        for port in service["spec"].get("ports") or ():
            endpoints = _endpoints(by_service[_key(service)], port.get("name") or "")
            if own_network and endpoints:
                out[service["spec"]["clusterIP"], port["port"]] = endpoints
            if number := numbers.get(str(port["port"])):
                out[HOST, int(number)] = endpoints
    return out


def _endpoints(slices: list[Object], name: str) -> list[Endpoint]:
    found: set[Endpoint] = set()
    for slice in slices:
        numbers = [p["port"] for p in slice.get("ports") or () if (p.get("name") or "") == name and p.get("port")]
        for endpoint in slice.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                found.update((address, number) for address in endpoint.get("addresses") or () for number in numbers)
    return sorted(found)
