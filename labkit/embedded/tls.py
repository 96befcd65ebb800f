"""TLS connections at the price of their records.

asyncio gives each one a quarter of a megabyte to read into, written over with zeros: kept connections of a busy kubelet,
sixty at either end, were the largest part of both processes' memory. A TLS record has 16 KB at most.
"""

from __future__ import annotations

from asyncio import sslproto

READ_BUFFER = 16 * 1024  # bytes


def save_memory() -> None:
    """Let every TLS connection that this process opens or accepts from now on have a small read buffer."""
    sslproto.SSLProtocol.max_size = READ_BUFFER
