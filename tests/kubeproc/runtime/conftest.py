"""A runtime of each kind on a folder of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from kubeproc.runtime.launch import Launch, Process
from kubeproc.runtime.runtime import Runtime, close

LINUX = sys.platform == "linux"
KINDS = ["root", "user", "none", "portable"]
PATH = f"{os.path.dirname(sys.executable)}:/usr/local/bin:/usr/bin:/bin"
ENV = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}


@dataclass
class Ended:
    code: int
    signal: int | None
    out: str
    err: str


class Bench:
    """A runtime, an event loop and short ways to say what the tests say often."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.runner = asyncio.Runner()
        self.home = Path(tempfile.mkdtemp(prefix="labkit-runtime-"))
        self.runtime = self.do(self.start())
        self.count = 0

    async def start(self) -> Runtime:
        portable = self.kind == "portable"
        runtime = Runtime(self.home, portable=portable, isolation=None if portable else self.kind)
        await runtime.start()
        return runtime

    @property
    def isolated(self) -> bool:
        return self.kind in ("root", "user")

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(asyncio.wait_for(work, 60))

    def make(self, argv: list[str] | str, **more: Any) -> Launch:
        """A launch in a root of its own; a string is a shell script."""
        self.count += 1
        words = ["sh", "-c", argv] if isinstance(argv, str) else argv
        options: dict[str, Any] = {"env": ENV, "cwd": "/", "root": self.home / f"root{self.count}"} | more
        return Launch(argv=words, **options)

    def begin(self, launch: Launch) -> Process:
        return self.do(self.runtime.launch(launch))

    def end(self, process: Process) -> Ended:
        return self.do(finish(process))

    def run(self, argv: list[str] | str, **more: Any) -> Ended:
        return self.end(self.begin(self.make(argv, **more)))

    def close(self) -> None:
        self.do(self.runtime.stop())
        self.runner.close()
        shutil.rmtree(self.home)


async def finish(process: Process) -> Ended:
    """Read all of the output, wait, close."""
    out, err = await asyncio.gather(*(asyncio.to_thread(read, fd) for fd in (process.stdout, process.stderr)))
    end = await process.wait()
    close(process)
    return Ended(end.code, end.signal, out, err)


def read(fd: int | None) -> str:
    if fd is None:
        return ""
    with open(fd, closefd=False) as file:
        return file.read()


def works(kind: str) -> bool:
    """Whether this machine can do it at all, by trying."""
    if kind in ("none", "portable"):
        return LINUX or kind == "portable"
    if not LINUX or (kind == "root" and os.geteuid() != 0):
        return False

    async def attempt() -> bool:
        with tempfile.TemporaryDirectory() as home:
            runtime = Runtime(Path(home))
            found = await runtime.detect()
            await runtime.stop()
            return found == kind or (found == "root" and kind == "user")

    return asyncio.run(attempt())


@pytest.fixture(scope="package", params=KINDS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if not works(request.param):
        pytest.skip(f"{request.param}: this machine has no such isolation")
    before = set(psutil.Process().children(recursive=True))
    bench = Bench(request.param)
    yield bench
    bench.close()
    assert not set(psutil.Process().children(recursive=True)) - before
