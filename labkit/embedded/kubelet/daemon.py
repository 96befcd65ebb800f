"""The kubelet as a daemon: its lock, the server beside it, readiness, the end.

Mechanism. The server is a child that is started before anything else of the kubelet is loaded, and again whenever it
dies. Where one of an earlier kubelet still runs, a thread waits for its lock: the kernel gives it when that one dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from typing import IO

from labkit.errors import LabError
from labkit.paths import ClusterFolder

log = logging.getLogger("kubelet")
PATIENCE, STOP = 30.0, 2.0  # seconds that the server may take to start, and to end
PROBES, PROBE = 5, 0.02  # attempts to get the lock, seconds between them
ATTEMPTS = 3  # to start the server for the first time
FIRST_WAIT, LONGEST_WAIT, STEADY = 0.05, 5.0, 10.0  # seconds between two starts; of life after which it begins anew


def lock(folder: ClusterFolder) -> IO[str]:
    """The lock that says this process is the cluster's kubelet; LabError where another one is."""
    folder.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = open(folder.run / "kubelet.lock", "a+", opener=lambda path, flags: os.open(path, flags, 0o600))  # noqa: SIM115
    for attempt in range(PROBES):  # whoever only asks who is alive holds it for a moment as well
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if attempt == PROBES - 1:
                file.close()
                raise LabError(f"a kubelet for {folder.root} is running already", "labkit status") from None
            time.sleep(PROBE)
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def port(folder: ClusterFolder) -> int:
    try:
        return int(json.loads(folder.info.read_text())["port"])
    except (OSError, ValueError, KeyError) as error:
        raise LabError(f"{folder.info} does not say which port the API has", "labkit up writes it") from error


class Server:
    """The API server, kept alive."""

    def __init__(self, folder: ClusterFolder) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = asyncio.Event()
        self.hopeless = asyncio.Event()  # it has never answered, and died again and again
        self.started = 0.0
        self.stopping = False

    def start(self) -> int:
        """Start the process; the end of a pipe that gets a byte once it answers."""
        read, write = os.pipe()
        command = [sys.executable, "-m", "labkit.embedded.server", "--home", str(self.folder.root)]
        self.folder.log.mkdir(exist_ok=True)
        with (self.folder.log / "server.log").open("ab") as output:
            self.process = subprocess.Popen(
                [*command, "--ready-fd", str(write)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[write],
                start_new_session=True,
                cwd="/",
            )
        os.close(write)
        self.started = time.monotonic()
        return read

    def adopted(self) -> IO[str] | None:
        """The lock's file where a server of an earlier kubelet holds it."""
        file = open(self.folder.run / "server.lock", "a+", opener=lambda p, f: os.open(p, f, 0o600))  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return file
        file.close()
        return None

    async def keep(self) -> None:
        """Keep one running until this is cancelled."""
        wait, failures = FIRST_WAIT, 0
        while not self.stopping:
            if file := self.adopted():
                self.ready.set()
                await _until_free(file)
            else:
                await self._one_life()
            if self.stopping:
                return
            failures += not self.ready.is_set()
            if failures == ATTEMPTS:
                self.hopeless.set()
            log.warning("the server has ended; it is started again")
            wait = FIRST_WAIT if time.monotonic() - self.started > STEADY else wait
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    async def _one_life(self) -> None:
        pipe = self.start()
        assert self.process
        ended = asyncio.create_task(asyncio.to_thread(self.process.wait))
        if await _byte(pipe):
            self.ready.set()
        await ended

    def pid(self) -> int:
        """Who holds the server's lock."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.folder.run / "server.lock").read_text())
        return 0

    async def stop(self) -> None:
        """TERM, then KILL; returns when it is gone."""
        self.stopping = True
        file = self.adopted()
        if file is None:
            return
        free = asyncio.create_task(_until_free(file))
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid(), number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP):
                    await asyncio.shield(free)
                return


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _byte(pipe: int) -> bool:
    """Whether a byte comes before the pipe's end; closes it."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[None] = loop.create_future()
    loop.add_reader(pipe, _resolve, came)
    try:
        await came
        return bool(os.read(pipe, 1))
    finally:
        loop.remove_reader(pipe)
        os.close(pipe)


async def _until_free(file: IO[str]) -> None:
    """Wait until nobody holds the lock of `file`: in a thread of its own, which does not keep this process alive."""
    loop = asyncio.get_running_loop()
    free: asyncio.Future[None] = loop.create_future()

    def wait() -> None:
        with file:
            fcntl.flock(file, fcntl.LOCK_SH)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(_resolve, free)

    threading.Thread(target=wait, daemon=True).start()
    await free


async def run(folder: ClusterFolder, ready: int | None) -> None:
    """The kubelet's life."""
    held = lock(folder)
    number = port(folder)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    server = Server(folder)
    keeper = asyncio.create_task(server.keep())
    await asyncio.sleep(0)  # the server starts before the kubelet's own imports

    from labkit.embedded.kubelet.http import Endpoint
    from labkit.embedded.kubelet.kubelet import Kubelet, end_leftovers

    end_leftovers(folder.pods)
    kubelet = Kubelet(folder, number)
    endpoint = Endpoint(kubelet)
    ending = asyncio.create_task(stop.wait())
    starting = asyncio.create_task(_start(kubelet, endpoint, server))
    try:
        await asyncio.wait({ending, starting}, return_when="FIRST_COMPLETED")
        if starting.done():
            starting.result()
            if ready is not None:
                with contextlib.suppress(BrokenPipeError):
                    os.write(ready, b"\n")
                os.close(ready)
            await ending
        starting.cancel()
    finally:
        await endpoint.stop()
        await kubelet.stop()
        await server.stop()
        keeper.cancel()
        held.close()


async def _start(kubelet, endpoint, server: Server) -> None:  # type: ignore[no-untyped-def]
    await kubelet.runtime.start()
    await endpoint.start()
    ready, hopeless = asyncio.create_task(server.ready.wait()), asyncio.create_task(server.hopeless.wait())
    await asyncio.wait({ready, hopeless}, timeout=PATIENCE, return_when="FIRST_COMPLETED")
    hopeless.cancel()
    if not ready.done():
        raise LabError("the server did not come up", f"see {kubelet.home.log / 'server.log'}")
    await kubelet.start()
