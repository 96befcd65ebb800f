"""The router and the kubelet's side of it, without a cluster."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from kubeproc.kubelet.outside import Outside
from kubeproc.network import ranges
from kubeproc.network.client import Network, dial
from tests.kubeproc.network.conftest import missing


def on_network(log: Path, work: Callable[[Network], Awaitable[None]]) -> None:
    if why := missing(log):
        pytest.skip(f"pods can't have a network of their own here: {why}")

    async def run() -> None:
        network = Network(log)
        await network.start()
        try:
            await work(network)
        finally:
            network.stop()
        assert not [p for p in psutil.Process().children() if "kubeproc.network.router" in p.cmdline()]

    asyncio.run(run())


async def door(network: Network, netns: int, port: int) -> socket.socket:
    (sock,) = await network.sockets("stream", 1, netns)
    sock.bind(("0.0.0.0", port))
    sock.listen()
    return sock


def test_pods_reach_each_other_and_have_the_same_port(tmp_path: Path) -> None:
    async def work(network: Network) -> None:
        loop = asyncio.get_running_loop()
        pods = [await network.sandbox(f"default/{name}") for name in "ab"]
        doors = [await door(network, pod.fd, 80) for pod in pods]
        for asked, listening in zip(pods, doors, strict=True):
            for asker in pods:
                (sock,) = await network.sockets("stream", 1, asker.fd)
                await loop.sock_connect(sock, (asked.ip, 80))
                made, peer = await loop.sock_accept(listening)
                assert peer[0] == asker.ip
                made.close()
                sock.close()
            (await network.connect(asked.ip, 80)).close()
            made, peer = await loop.sock_accept(listening)
            assert peer[0] == ranges.GATEWAY
            made.close()
            listening.close()
        for pod in pods:
            pod.close()
        with pytest.raises(ConnectionRefusedError):
            await pods[0].connect(80)

    on_network(tmp_path / "log", work)


def test_an_address_that_nobody_has_is_refused_at_once(tmp_path: Path) -> None:
    async def work(network: Network) -> None:
        pod = await network.sandbox("default/a")
        for address in ("192.0.2.9", "10.0.0.1"):
            (sock,) = await network.sockets("stream", 1, pod.fd)
            begun = time.perf_counter()
            with sock, pytest.raises(OSError, match="unreachable"):
                await asyncio.get_running_loop().sock_connect(sock, (address, 80))
            assert time.perf_counter() - begun < 0.5
        with pytest.raises(OSError, match="No route to host"):
            await network.connect("10.244.200.200", 80)
        pod.close()

    on_network(tmp_path / "log", work)


def test_a_killed_router_comes_back_in_the_same_namespaces(tmp_path: Path) -> None:
    async def work(network: Network) -> None:
        pod = await network.sandbox("default/a")
        listening = await door(network, pod.fd, 80)
        assert network._process
        os.kill(network._process.pid, signal.SIGKILL)
        network._process.wait()
        other = await network.sandbox("default/b")
        (sock,) = await network.sockets("stream", 1, other.fd)
        await asyncio.get_running_loop().sock_connect(sock, (pod.ip, 80))
        for each in (sock, listening, pod, other):
            each.close()

    on_network(tmp_path / "log", work)


def test_requests_at_the_same_time_are_all_answered(tmp_path: Path) -> None:
    async def work(network: Network) -> None:
        pods = await asyncio.gather(*(network.sandbox(f"default/{n}") for n in range(40)))
        assert len({pod.ip for pod in pods}) == 40
        for pod in pods:
            pod.close()

    on_network(tmp_path / "log", work)


def test_an_address_goes_with_its_name() -> None:
    first = ranges.address_of("default/a", ranges.PODS, {})
    assert first == ranges.address_of("default/a", ranges.PODS, {"10.244.3.4"})
    second = ranges.address_of("default/a", ranges.PODS, {first})
    assert second != first
    with pytest.raises(OSError, match="no address is left"):
        ranges.address_of("x", ranges.PODS, {str(address) for address in ranges.PODS})


def test_the_way_outside_is_a_connection_of_this_machine(tmp_path: Path) -> None:
    """No packet leaves: the dialler stands for other networks."""

    async def work(_: Network) -> None:
        network = Network(tmp_path / "log", outside=[80])
        await network.start()
        asked = []
        server = await asyncio.start_server(lambda reader, writer: writer.write_eof(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        async def elsewhere(host: str, number: int) -> socket.socket:
            asked.append((host, number))
            if host != "192.0.2.7":
                raise OSError(errno.ENETUNREACH, "nothing there")
            return await dial("127.0.0.1", port)

        way = Outside(network, elsewhere)
        await way.start()
        pod = await network.sandbox("default/a")
        loop = asyncio.get_running_loop()
        for address, number, outcome in (
            ("192.0.2.7", 80, b""),
            ("198.51.100.1", 80, ConnectionResetError),
            ("192.0.2.7", 81, OSError),
            ("10.96.7.7", 80, ConnectionResetError),
        ):
            (sock,) = await network.sockets("stream", 1, pod.fd)
            with sock:
                try:
                    await loop.sock_connect(sock, (address, number))
                    found: object = await loop.sock_recv(sock, 1)
                except OSError as error:
                    found = type(error)
            assert found == outcome, (address, number)
        assert asked == [("192.0.2.7", 80), ("198.51.100.1", 80)]
        service = await network.listen("10.96.7.7", 80)  # made after the way outside, on the same port
        (sock,) = await network.sockets("stream", 1, pod.fd)
        with service, sock:
            await loop.sock_connect(sock, ("10.96.7.7", 80))
            made, _ = await asyncio.wait_for(loop.sock_accept(service), 5)
            made.close()
        way.stop()
        server.close()
        pod.close()
        network.stop()

    on_network(tmp_path / "probe.log", work)
