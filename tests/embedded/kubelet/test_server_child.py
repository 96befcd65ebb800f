"""The kubelet and the API server that it keeps alive."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from labkit.embedded.kubelet.daemon import Server
from labkit.paths import ClusterFolder


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
