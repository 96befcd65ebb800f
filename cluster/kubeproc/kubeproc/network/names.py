"""The cluster's DNS server: names of Services and of pods that a headless Service names, and nothing else.

Mechanism. It answers over UDP and TCP from two tables of Services and EndpointSlices that the kubelet keeps. A name outside the
cluster is asked of this machine's own resolvers. It never stays silent: a client would wait for seconds, so what fails is
SERVFAIL. See the specification of DNS-based service discovery (github.com/kubernetes/dns).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from dnslib import QTYPE, RCODE, RR, SOA, SRV, A, DNSRecord
from dnslib.dns import DNSError

from kubeproc.network import ranges

Object = dict[str, Any]
log = logging.getLogger("kubelet")
ZONE = f"{ranges.DOMAIN}."
SERVICES = f".svc.{ZONE}"
TTL = 5  # seconds, as in CoreDNS's default configuration
UPSTREAM = 3.0  # seconds that this machine's resolvers have to answer
SERVICE_NAME = "kubernetes.io/service-name"
LONGEST = 512  # bytes of an answer over UDP


class Records:
    """What the cluster knows of a name. `services` and `slices` are by namespace/name."""

    def __init__(self, services: dict[str, Object], slices: dict[str, Object]) -> None:
        self.services, self.slices = services, slices

    def addresses(self, name: str) -> list[str] | None:
        """The addresses of a name in the zone, which may be empty; None for an unknown name."""
        found = self._parts(name)
        if found is None:
            return None
        service, rest = found
        if rest and rest[0].startswith("_"):
            return [] if len(rest) == 2 and self._port(service, rest) else None
        if service["spec"].get("clusterIP") != "None":
            return [service["spec"]["clusterIP"]] if not rest else None
        endpoints = [e for e, _ in self._endpoints(service) if not rest or _host(e) == rest[0]]
        if rest and (len(rest) > 1 or not endpoints):
            return None
        return [address for endpoint in endpoints for address in endpoint["addresses"]]

    def services_of(self, name: str) -> list[tuple[int, str]]:
        """What `_http._tcp.web.shop.svc.cluster.local` stands for: ports, and the names of the hosts."""
        found = self._parts(name)
        if found is None or len(found[1]) != 2:
            return []
        service, rest = found
        port = self._port(service, rest)
        if port is None:
            return []
        meta = service["metadata"]
        base = f"{meta['name']}.{meta['namespace']}{SERVICES}"
        if service["spec"].get("clusterIP") != "None":
            return [(port["port"], base)]
        numbers = [
            p["port"] for _, ports in self._endpoints(service) for p in ports if p.get("name", "") == port.get("name")
        ]
        number = numbers[0] if numbers else port["port"]
        return [(number, f"{_host(endpoint)}.{base}") for endpoint, _ in self._endpoints(service)]

    def _parts(self, name: str) -> tuple[Object, list[str]] | None:
        """The Service that a name belongs to, and the labels before the Service's."""
        if not name.endswith(SERVICES):
            return None
        labels = name.removesuffix(SERVICES).split(".")
        if len(labels) < 2:
            return None
        if labels[-2:] == ["kubernetes", "default"]:
            return _KUBERNETES, labels[:-2]
        service = self.services.get(f"{labels[-1]}/{labels[-2]}")
        return (service, labels[:-2]) if service and service["spec"].get("clusterIP") else None

    def _port(self, service: Object, rest: list[str]) -> Object | None:
        name, protocol = rest[0].removeprefix("_"), rest[1].removeprefix("_").upper()
        for port in service["spec"].get("ports") or ():
            if port.get("name") == name and port.get("protocol", "TCP") == protocol:
                return port  # type: ignore[no-any-return]
        return None

    def _endpoints(self, service: Object) -> Iterable[tuple[Object, list[Object]]]:
        meta = service["metadata"]
        for each in self.slices.values():
            labels = each["metadata"].get("labels") or {}
            if labels.get(SERVICE_NAME) == meta["name"] and each["metadata"]["namespace"] == meta["namespace"]:
                for endpoint in each.get("endpoints") or ():
                    if (endpoint.get("conditions") or {}).get("ready") is not False:
                        yield endpoint, each.get("ports") or []


_KUBERNETES: Object = {
    "metadata": {"name": "kubernetes", "namespace": "default"},
    "spec": {"clusterIP": ranges.API, "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]},
}


def _host(endpoint: Object) -> str:
    """An endpoint's label: its pod's hostname, or its address with dashes."""
    return endpoint.get("hostname") or str(endpoint["addresses"][0]).replace(".", "-")


def answer(query: DNSRecord, records: Records) -> DNSRecord | None:
    """The answer to a query about the cluster; None for a name that is not in its zone."""
    asked = query.q
    name = str(asked.qname).lower()
    reply = query.reply()
    if name.endswith("." + ZONE) or name == ZONE:
        addresses = records.addresses(name)
        if addresses is None:
            reply.header.rcode = RCODE.NXDOMAIN
        elif asked.qtype in (QTYPE.A, QTYPE.ANY):
            for address in addresses:
                reply.add_answer(RR(asked.qname, QTYPE.A, ttl=TTL, rdata=A(address)))
        elif asked.qtype == QTYPE.SRV:
            for port, host in records.services_of(name):
                reply.add_answer(RR(asked.qname, QTYPE.SRV, ttl=TTL, rdata=SRV(0, 100, port, host)))
        if not reply.rr:
            reply.add_auth(RR(ZONE, QTYPE.SOA, ttl=TTL, rdata=SOA(f"ns.dns.{ZONE}", f"hostmaster.{ZONE}")))
        return reply
    if "." not in name.rstrip(".") or name.endswith((".svc.", ".arpa.")):
        reply.header.rcode = RCODE.NXDOMAIN  # a part of the search list: nobody outside knows it
        return reply
    return None


class Server(asyncio.DatagramProtocol):
    """Answers on the sockets that it gets. `outside` lists this machine's own resolvers."""

    def __init__(self, records: Records, outside: list[str]) -> None:
        self.records, self.outside = records, outside
        self._transport: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._work: set[asyncio.Task[None]] = set()

    async def start(self, udp: socket.socket, tcp: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, sock=udp)
        self._tcp = await asyncio.start_server(self._stream, sock=tcp)

    def stop(self) -> None:
        for task in self._work:
            task.cancel()
        if self._transport:
            self._transport.close()
        if self._tcp:
            self._tcp.close()

    # -- UDP -----------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # Python 3.11's class does not say so itself

    def datagram_received(self, data: bytes, address: Any) -> None:
        task = asyncio.create_task(self._reply(data, address))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _reply(self, data: bytes, address: Any) -> None:
        said = await self.respond(data)
        if said and len(said) > LONGEST:
            cut = DNSRecord.parse(said).truncate()
            said = bytes(cut.pack())
        if said and self._transport:
            self._transport.sendto(said, address)

    # -- TCP -----------------------------------------------------------------------------------------------------------

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                length = int.from_bytes(await reader.readexactly(2))
                said = await self.respond(await reader.readexactly(length))
                if not said:
                    break
                writer.write(len(said).to_bytes(2) + said)
                await writer.drain()
        writer.close()

    # -- answers -------------------------------------------------------------------------------------------------------

    async def respond(self, data: bytes) -> bytes:
        """The answer to a packet; nothing to what is no query."""
        try:
            query = DNSRecord.parse(data)
        except DNSError:
            return b""
        if query.header.qr or not query.questions:
            return b""
        try:
            if known := answer(query, self.records):
                return bytes(known.pack())
            return await self._ask_outside(data)
        except Exception as error:  # whatever it was, the client must hear something
            if not isinstance(error, OSError):
                log.exception("DNS: %s", query.q)
            reply = query.reply()
            reply.header.rcode = RCODE.SERVFAIL
            return bytes(reply.pack())

    async def _ask_outside(self, data: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        for resolver in self.outside:
            family = socket.AF_INET6 if ":" in resolver else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError, TimeoutError):
                sock.setblocking(False)
                await loop.sock_connect(sock, (resolver, 53))
                await loop.sock_sendall(sock, data)
                async with asyncio.timeout(UPSTREAM):
                    return await loop.sock_recv(sock, 4096)
        raise OSError("no resolver of this machine answers")


def resolvers(path: Path = Path("/etc/resolv.conf")) -> list[str]:
    """This machine's own resolvers."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]


def resolv_conf(namespace: str) -> str:
    """A pod's /etc/resolv.conf."""
    searched = f"{namespace}.svc.{ranges.DOMAIN} svc.{ranges.DOMAIN} {ranges.DOMAIN}"
    return f"search {searched}\nnameserver {ranges.DNS}\noptions ndots:5\n"
