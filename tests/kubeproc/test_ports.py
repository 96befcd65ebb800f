"""Host ports: free ones, each given once."""

from __future__ import annotations

import socket

from kubeproc import ports
from kubeproc.store import Store


def test_a_port_with_a_listener_is_skipped() -> None:
    store = Store(None)
    (first,) = ports.allocate(store, 1)
    after = ports._registers[store].next
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", after))
        busy.listen()
        assert not ports.free(after)
        assert ports.allocate(store, 1)[0] not in (first, after)
    assert ports.free(after)


def test_ports_lie_below_the_kernel_s_ephemeral_ones() -> None:
    found = ports.allocate(Store(None), 50)
    assert len(set(found)) == 50
    assert all(p in ports.range_of_ports() for p in found)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        assert probe.getsockname()[1] not in ports.range_of_ports()
