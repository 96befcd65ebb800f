"""The server's way to the kubelet where that does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from kubeproc.api.streams import kubelet_client
from kubeproc.api_errors import ApiError


async def ask(address: Path) -> None:
    async with kubelet_client.get(address, "/healthz", []):
        pass


def test_a_kubelet_with_a_full_backlog_is_unavailable_at_once(tmp_path: Path) -> None:
    address = tmp_path / "kubelet.sock"
    with contextlib.ExitStack() as stack:
        hung = stack.enter_context(socket.socket(socket.AF_UNIX))
        hung.bind(str(address))
        hung.listen(0)
        with contextlib.suppress(BlockingIOError):
            for _ in range(100):  # until its queue is full
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(str(address))
        with pytest.raises(ApiError) as caught:
            asyncio.run(ask(address))
    assert caught.value.code == 503


def test_a_kubelet_that_is_not_there_is_away(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="the kubelet does not answer"):
        asyncio.run(ask(tmp_path / "kubelet.sock"))
