"""The cluster's addresses: the ranges that kind chooses, and what lies at their start."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Container

PODS = ipaddress.IPv4Network("10.244.0.0/16")
SERVICES = ipaddress.IPv4Network("10.96.0.0/16")
GATEWAY = "10.244.0.1"  # the router: the next hop of every pod, and the kubelet's own address
API, DNS = "10.96.0.1", "10.96.0.10"
DOMAIN = "cluster.local"
RESERVED = 256  # addresses at the start of a range that are not given away


def address_of(name: str, network: ipaddress.IPv4Network, taken: Container[str]) -> str:
    """A free address that goes with the name: the same one again, unless somebody else has it by now."""
    size = network.num_addresses - RESERVED - 1  # the last one is the broadcast address
    first = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())
    for n in range(size):
        found = str(network[RESERVED + (first + n) % size])
        if found not in taken:
            return found
    raise OSError(f"no address is left in {network}")
