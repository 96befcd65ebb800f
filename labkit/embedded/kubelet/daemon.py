"""The kubelet as a daemon: its lock, the server beside it, readiness, the end.

Mechanism. The server is a child that is started before anything else of the kubelet is loaded, and again whenever it
dies. Where one of an earlier kubelet still runs, a thread waits for its lock: the kernel gives it when that one dies.
So does one for the lifeline (`lock.LIFELINE`), where there is such: who holds it is gone, and the cluster ends as by SIGTERM.
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

from labkit.embedded import lock
from labkit.embedded import ready as pipes
from labkit.errors import LabError
from labkit.paths import ClusterFolder, appended, settle

log = logging.getLogger("kubelet")
PATIENCE, STOP = 30.0, 2.0  # seconds that the server may take to start, and to end
ATTEMPTS = 3  # to start the server for the first time
REGISTER = 0.1  # seconds between two attempts to register the node
FIRST_WAIT, LONGEST_WAIT, STEADY = 0.05, 5.0, 2.0  # seconds between two starts; of life after which it begins anew


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
        self.reason: LabError | None = None  # its last word
        self.started = 0.0
        self.stopping = False

    def start(self) -> int:
        """Start the process; the end of a pipe that gets a byte once it answers."""
        read, write = os.pipe()
        command = [sys.executable, "-m", "labkit.embedded.server", "--home", str(self.folder.root)]
        self.folder.log.mkdir(exist_ok=True)
        with appended(self.folder.log / "server.log") as output:
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
            if file := self.adopted():  # one that an earlier kubelet had just started was first
                file.close()
                self.reason = None
                continue
            failures += not self.ready.is_set()
            if failures == ATTEMPTS or (failures and self.reason):
                self.hopeless.set()
            log.warning("the server has ended; it is started again")
            wait = FIRST_WAIT if time.monotonic() - self.started > STEADY else wait
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    async def _one_life(self) -> None:
        pipe = self.start()
        assert self.process
        ended = asyncio.create_task(asyncio.to_thread(self.process.wait))
        try:
            if await _answers(pipe):
                self.ready.set()
        except LabError as error:
            self.reason = error
        await ended

    def pid(self) -> int:
        """Who holds the server's lock."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.folder.run / "server.lock").read_text())
        return 0

    async def stop(self) -> None:
        """TERM, then KILL; returns when it is gone. A child that has no lock yet, since it is only starting, goes too."""
        self.stopping = True
        child = self.process if self.process and self.process.poll() is None else None
        if child:
            gone: asyncio.Task[object] = asyncio.create_task(asyncio.to_thread(child.wait))
        elif file := self.adopted():
            gone = asyncio.create_task(_until_free(file))
        else:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                if pid := child.pid if child else self.pid():  # 0 would be this process and all that it started
                    os.kill(pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP):
                    await asyncio.shield(gone)
                return


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _answers(pipe: int) -> bool:
    """What the pipe says (`ready.read`), once it says something; closes it."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[None] = loop.create_future()
    loop.add_reader(pipe, _resolve, came)
    try:
        await came
        return pipes.read(pipe)
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
    folder.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock.keep(folder.run / "kubelet.lock", "kubelet")
    number = port(folder)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    lifeline = asyncio.create_task(_outlive_nobody(stop)) if os.environ.get(lock.LIFELINE) else None
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
            pipes.say(ready)
            # The first pod of the lab image need not wait for TensorFlow's import: it begins as soon as the cluster is there.
            warming = asyncio.create_task(kubelet.runtime.prewarm()) if os.environ.pop("LABKIT_PREWARM", "") else None
            await ending
            if warming:
                warming.cancel()
        starting.cancel()
    finally:
        await endpoint.stop()
        await kubelet.stop()
        await server.stop()
        keeper.cancel()
        if lifeline:
            lifeline.cancel()


async def _outlive_nobody(stop: asyncio.Event) -> None:
    """Stop when the lifeline's holder is gone; if he has taken the file with him, at once."""
    with contextlib.suppress(FileNotFoundError):
        await _until_free(open(os.environ[lock.LIFELINE]))  # noqa: SIM115
    log.warning("who started this cluster has ended without it: the cluster ends too")
    stop.set()


async def _start(kubelet, endpoint, server: Server) -> None:  # type: ignore[no-untyped-def]
    await kubelet.runtime.start()
    settle(kubelet.home, kubelet.runtime.isolation == "none")
    await endpoint.start()
    ready, hopeless = asyncio.create_task(server.ready.wait()), asyncio.create_task(server.hopeless.wait())
    await asyncio.wait({ready, hopeless}, timeout=PATIENCE, return_when="FIRST_COMPLETED")
    hopeless.cancel()
    if not ready.done():
        raise server.reason or LabError("the server did not come up", f"see {kubelet.home.log / 'server.log'}")
    await _register(kubelet)


async def _register(kubelet) -> None:  # type: ignore[no-untyped-def]
    """Start the kubelet's work: the server may still be on its way, or on its way again."""
    from labkit.embedded.kubelet.client import Refused, Unreachable

    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await kubelet.start()
        except (*Unreachable, Refused) as error:
            if (isinstance(error, Refused) and error.code < 500) or time.monotonic() > deadline:
                raise LabError(f"the node can't be registered: {error}", f"see {kubelet.home.log}") from error
        await asyncio.sleep(REGISTER)
