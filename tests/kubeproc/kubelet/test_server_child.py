"""The kubelet and the API server that it keeps alive."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

import pytest

from kubeproc import engine
from kubeproc.errors import HintedError
from kubeproc.folder import ClusterFolder
from kubeproc.kubelet.daemon import Server


def test_a_server_that_is_only_starting_is_ended_as_well(tmp_path: Path) -> None:
    folder = ClusterFolder(tmp_path / "c")
    folder.run.mkdir(parents=True)

    async def start_and_stop() -> int | None:
        server = Server(folder)
        os.close(server.start())
        await server.stop()  # it has had no time to take its lock
        assert server.process
        return server.process.poll()

    assert asyncio.run(start_and_stop()) is not None


def test_where_an_earlier_kubelet_s_server_was_first_that_one_is_taken(tmp_path: Path) -> None:
    folder = ClusterFolder(tmp_path / "c")
    folder.run.mkdir(parents=True)

    async def lose() -> Server:
        server = Server(folder)
        keeping = asyncio.create_task(server.keep())
        while not server.process:
            await asyncio.sleep(0)
        with (folder.run / "server.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # its own server finds this only when it has loaded
            async with asyncio.timeout(20):
                await asyncio.wait(
                    [asyncio.create_task(event.wait()) for event in (server.ready, server.hopeless)],
                    return_when="FIRST_COMPLETED",
                )
            keeping.cancel()
        return server

    server = asyncio.run(lose())
    assert "is running already" in (folder.log / "server.log").read_text()
    assert server.ready.is_set()
    assert not server.hopeless.is_set()


def test_a_kubelet_that_lacks_a_package_says_so_and_leaves_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "dnslib.py").write_text("raise ImportError('no dnslib here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    folder = ClusterFolder(tmp_path / "c")
    with pytest.raises(HintedError, match="no dnslib here"):
        engine.up(folder, network="shared")
    assert not any(engine.daemon(folder, name).alive for name in engine.DAEMONS)
