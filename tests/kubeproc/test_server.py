"""The server's process: what it survives, and what it refuses to start with."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest

from kubeproc.folder import ClusterFolder

MAPS = "/api/v1/namespaces/default/configmaps"


def write_until_killed(server: Any, acknowledged: dict[str, str], prefix: str, enough: threading.Event) -> None:
    """Create and update until the server is gone; `acknowledged` gets what it had said yes to."""
    with server.client() as http:
        for i in range(100_000):
            name = f"{prefix}-{i}"
            try:
                if http.post(MAPS, json={"metadata": {"name": name}, "data": {"v": "1"}}).status_code == 201:
                    acknowledged[name] = "1"
                body = {"metadata": {"name": name}, "data": {"v": "2"}}
                if http.put(f"{MAPS}/{name}", json=body).status_code == 200:
                    acknowledged[name] = "2"
            except httpx.TransportError:
                return
            if len(acknowledged) > 20:
                enough.set()


def survive(server: Any, rounds: int) -> None:
    """Kill the server in the middle of writes, again and again, and miss nothing of what it had acknowledged."""
    for number in range(rounds):
        acknowledged: dict[str, str] = {}
        enough = threading.Event()
        writers = [
            threading.Thread(target=write_until_killed, args=(server, acknowledged, f"r{number}-{w}", enough))
            for w in range(3)
        ]
        for writer in writers:
            writer.start()
        assert enough.wait(20)
        server.kill()
        for writer in writers:
            writer.join(20)
        server.restart()
        with server.client() as http:
            found = {i["metadata"]["name"]: i.get("data", {}).get("v") for i in http.get(MAPS).json()["items"]}
            for name, value in acknowledged.items():
                # One that was under way may have been written without having been acknowledged.
                assert found.get(name) in ((value,) if value == "2" else ("1", "2")), name
            assert http.delete(MAPS).status_code == 200


def test_a_kill_between_writes_loses_nothing_acknowledged(servers: Callable[[], Any]) -> None:
    survive(servers(), 2)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_hundred_kills_lose_nothing_acknowledged(servers: Callable[[], Any]) -> None:
    survive(servers(), 200)


def test_versions_go_on_after_a_kill(servers: Callable[[], Any]) -> None:
    server = servers()
    with server.client() as http:
        made = http.post(MAPS, json={"metadata": {"name": "a"}}).json()
        http.delete(f"{MAPS}/a")
    server.kill()
    server.restart()
    with server.client() as http:
        again = http.post(MAPS, json={"metadata": {"name": "a"}}).json()
    assert int(again["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"]) + 1


def test_term_ends_watches_and_the_server(servers: Callable[[], Any]) -> None:
    server = servers()
    with server.client() as http, http.stream("GET", MAPS, params={"watch": "true"}) as watch:
        lines = watch.iter_lines()
        next(lines)
        server.process.send_signal(signal.SIGTERM)
        assert list(lines) is not None  # the stream ends as a stream does, not by a reset
    assert server.process.wait(20) == 0


def test_term_does_not_wait_for_a_client_that_sleeps(servers: Callable[[], Any]) -> None:
    server = servers()
    raw = socket.create_connection(("127.0.0.1", server.port))
    with raw, server.context.wrap_socket(raw, server_hostname="127.0.0.1") as idle:
        idle.sendall(f"GET {MAPS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n\r\n".encode())
        assert idle.recv(1)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
    assert time.monotonic() - began < 2


def test_a_closed_ready_pipe_is_not_an_error(tmp_path: Any) -> None:
    folder = ClusterFolder(tmp_path / "c")
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "kubeproc.server", "--home", str(folder.root), "--port", "0"]
    process = subprocess.Popen([*command, "--ready-fd", str(write)], pass_fds=[write])
    os.close(write)
    try:
        deadline = time.monotonic() + 20
        while not answers(folder):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.terminate()
        assert process.wait(20) == 0


def answers(folder: ClusterFolder) -> bool:
    """Whether the API is there, on the port that the kubeconfig names."""
    try:
        config = json.loads(folder.kubeconfig.read_text())
        url, context = config["clusters"][0]["cluster"]["server"], ssl.create_default_context(cafile=str(folder.ca))
        return httpx.get(f"{url}/readyz", verify=context, trust_env=False).status_code == 200
    except (OSError, httpx.TransportError):
        return False


def test_a_second_server_on_the_same_folder_is_refused(api_server: Any) -> None:
    command = [sys.executable, "-m", "kubeproc.server", "--home", str(api_server.folder.root), "--port", "0"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert refused.returncode == 1
    assert "is running already" in refused.stderr
    assert str(api_server.process.pid) == (api_server.folder.run / "server.lock").read_text().split()[0]


def test_a_port_that_is_taken_is_named(tmp_path: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "kubeproc.server", "--home", str(tmp_path / "c"), "--port", port]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert refused.returncode == 1
    assert f"port {port} of 127.0.0.1 is not available" in refused.stderr
    assert "hint:" in refused.stderr


def test_the_server_listens_on_loopback_only(api_server: Any) -> None:
    listening = [c for c in psutil.Process(api_server.process.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert [c.laddr.ip for c in listening] == ["127.0.0.1"]


def test_the_server_is_small(servers: Callable[[], Any]) -> None:
    memory = psutil.Process(servers().process.pid).memory_info().rss
    assert memory < 90 * 2**20


def test_a_client_that_does_not_read_is_cut_off(servers: Callable[[], Any]) -> None:
    server = servers()
    with server.client() as http:
        raw = socket.create_connection(("127.0.0.1", server.port))
        with raw, server.context.wrap_socket(raw, server_hostname="127.0.0.1") as lazy:
            head = f"GET {MAPS}?watch=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n\r\n"
            lazy.sendall(head.encode())
            lazy.recv(1)
            body = {"metadata": {"name": "big"}, "data": {"x": "y" * 1_000_000}}
            assert http.post(MAPS, json=body).status_code == 201
            process = psutil.Process(server.process.pid)
            for i in range(60):
                body["data"]["n"] = str(i)  # type: ignore[index]
                assert http.put(f"{MAPS}/big", json=body).status_code == 200
            assert process.memory_info().rss < 200 * 2**20
