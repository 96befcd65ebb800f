"""The few requests to the kernel that a pod's network needs: interfaces, addresses, routes. See rtnetlink(7).

A request is a header, a fixed structure and attributes. Several requests go to the kernel in one call and are answered in order.
A socket speaks to the network namespace in which it was made, wherever its process is later.
"""

from __future__ import annotations

import os
import socket
import struct

HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
NEWLINK, GETLINK, SETLINK, NEWADDR, NEWROUTE, NEWRULE, ERROR = 16, 18, 19, 20, 24, 32, 2
REQUEST, ACK, REPLACE, EXCL, CREATE, ACK_TLVS = 0x1, 0x4, 0x100, 0x200, 0x400, 0x200
SOL_NETLINK, CAP_ACK, EXT_ACK = 270, 10, 11
UP = 1  # IFF_UP
NESTED = 0x8000
MAIN, LOCAL = 254, 255  # tables of routes
STATIC = 4  # the origin of a route: an administrator
UNICAST, TO_US, UNREACHABLE = 1, 2, 7  # types of routes
EVERYWHERE, LINK, HOST = 0, 253, 254  # scopes
ADDRESS, NAME, MTU, LINKINFO, AF_SPEC, NETNS = 1, 3, 4, 18, 26, 28  # attributes of an interface
ADDR_GEN_MODE, NO_ADDRESSES, CONF, FORWARDING = 8, 1, 1, 1
LOOPBACK = 1  # the index of lo in each namespace


def attribute(kind: int, value: bytes) -> bytes:
    data = struct.pack("=HH", 4 + len(value), kind) + value
    return data + bytes(-len(data) % 4)


def number(value: int) -> bytes:
    return struct.pack("=I", value)


def nest(kind: int, *parts: bytes) -> bytes:
    return attribute(kind | NESTED, b"".join(parts))


def _interface(index: int, *, up: bool = False) -> bytes:
    return struct.pack("=BxHiII", 0, 0, index, UP if up else 0, UP if up else 0)


def veth(name: str, index: int, peer: str, peer_index: int, netns: int, mac: bytes, mtu: int) -> tuple[int, int, bytes]:
    """A pair of interfaces: `name` here, which is up and forwards, and `peer` in the namespace behind the descriptor `netns`.
    The peer is set up there, since the kernel refuses a pair whose other end is up at once."""
    inside = _interface(peer_index) + attribute(NAME, peer.encode() + b"\0")
    inside += attribute(MTU, number(mtu)) + attribute(ADDRESS, mac) + attribute(NETNS, number(netns))
    info = nest(LINKINFO, attribute(1, b"veth"), nest(2, attribute(1, inside)))
    body = _interface(index, up=True) + attribute(NAME, name.encode() + b"\0") + attribute(MTU, number(mtu)) + info
    return NEWLINK, CREATE | EXCL, body


def set_up(index: int) -> tuple[int, int, bytes]:
    return SETLINK, 0, _interface(index, up=True)


def settle(index: int) -> tuple[int, int, bytes]:
    """Ask for the interface's state: before it answers, the kernel does what the link's coming up has left to do, without which
    the interface drops packets (`linkwatch_sync_dev` in `rtnl_getlink`, since Linux 6.8)."""
    return GETLINK, 0, _interface(index)


def without_ipv6(index: int) -> tuple[int, int, bytes]:
    """The interface gives itself no IPv6 address."""
    spec = nest(AF_SPEC, nest(socket.AF_INET6, attribute(ADDR_GEN_MODE, bytes([NO_ADDRESSES]))))
    return SETLINK, 0, _interface(index) + spec


def forwarding(index: int) -> tuple[int, int, bytes]:
    """The interface passes packets on; other than by /proc/sys, this works where that is read-only."""
    spec = nest(AF_SPEC, nest(socket.AF_INET, nest(CONF, attribute(FORWARDING, number(1)))))
    return SETLINK, 0, _interface(index) + spec


def address(index: int, ip: str) -> tuple[int, int, bytes]:
    """The interface has this address, alone in its network."""
    packed = socket.inet_aton(ip)
    body = struct.pack("=BBBBI", socket.AF_INET, 32, 0, EVERYWHERE, index)
    return NEWADDR, CREATE | REPLACE, body + attribute(2, packed) + attribute(1, packed)


def route(
    to: str, kind: int = UNICAST, *, index: int = 0, via: str = "", scope: int = EVERYWHERE, table: int = MAIN
) -> tuple[int, int, bytes]:
    """The way to `to` ("10.244.0.0/16", "10.244.0.7", "0.0.0.0/0"), in place of an earlier one."""
    network, _, length = to.partition("/")
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, int(length or 32), 0, 0, table, STATIC, scope, kind, 0)
    body += attribute(1, socket.inet_aton(network)) if length != "0" else b""
    body += attribute(4, number(index)) if index else b""
    body += attribute(5, socket.inet_aton(via)) if via else b""
    return NEWROUTE, CREATE | REPLACE, body


def rule(port: int, table: int, priority: int) -> tuple[int, int, bytes]:
    """Connections to this TCP port take the ways of that table, after those of the main one."""
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, table, 0, 0, 1, 0)
    body += attribute(6, number(priority)) + attribute(22, bytes([socket.IPPROTO_TCP]))
    return NEWRULE, CREATE | EXCL, body + attribute(24, struct.pack("=HH", port, port))


class Netlink:
    """A connection to the kernel, for the network namespace that this thread is in now."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self.sock.bind((0, 0))
        for option in (CAP_ACK, EXT_ACK):
            self.sock.setsockopt(SOL_NETLINK, option, 1)

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def call(self, *requests: tuple[int, int, bytes]) -> None:
        """Send the requests; OSError, with the kernel's words, for the first that fails. The others are done all the same."""
        data = b""
        for sequence, (kind, flags, body) in enumerate(requests, 1):
            body += bytes(-len(body) % 4)
            data += HEADER.pack(HEADER.size + len(body), kind, REQUEST | ACK | flags, sequence, 0) + body
        self.sock.send(data)
        answered, failed = 0, None
        while answered < len(requests):
            answer = self.sock.recv(1 << 16)
            while answer:
                length, kind, flags, sequence, _ = HEADER.unpack_from(answer)
                if kind == ERROR:
                    answered += 1
                    code = -struct.unpack_from("=i", answer, HEADER.size)[0]
                    if code and failed is None:
                        failed = _error(code, flags, answer[:length], requests[sequence - 1][0])
                answer = answer[(length + 3) & ~3 :]
        if failed:
            raise failed


def _error(code: int, flags: int, answer: bytes, kind: int) -> OSError:
    what = {
        NEWLINK: "a new interface",
        GETLINK: "an interface",
        SETLINK: "an interface",
        NEWADDR: "an address",
        NEWROUTE: "a route",
    }[kind]
    said, at = "", HEADER.size + 4 + HEADER.size
    while flags & ACK_TLVS and at + 4 <= len(answer):
        length, attr = struct.unpack_from("=HH", answer, at)
        if attr & 0x3FFF == 1:
            said = answer[at + 4 : at + length].rstrip(b"\0").decode(errors="replace")
        at += max((length + 3) & ~3, 4)
    return OSError(code, f"{what}: {said or os.strerror(code)}")
