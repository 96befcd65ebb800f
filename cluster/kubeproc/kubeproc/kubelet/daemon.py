"""The kubelet as a daemon: its lock, the server as its child, readiness, shutdown.

Mechanism. The kubelet starts the server as a child before it imports its other modules, and restarts it whenever it dies. If
the server of an earlier kubelet still runs, a thread waits for the server's lock, which the kernel releases when that server
dies. In the same way a thread waits for the lock of the lifeline (`LIFELINE`), if there is one: when its holder is gone, the
cluster ends as by SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING

from kubeproc import embedder, lock
from kubeproc import ready as pipes
from kubeproc.environment import LIFELINE, PREWARM
from kubeproc.errors import HintedError
from kubeproc.folder import ClusterFolder, appended, settle
from kubeproc.kubelet.executor import Executor

if TYPE_CHECKING:
    from kubeproc.kubelet.http import Endpoint
    from kubeproc.kubelet.kubelet import Kubelet
    from kubeproc.network.client import Network

log = logging.getLogger("kubelet")
PATIENCE, STOP = 30.0, 2.0  # seconds that the server may take to start, and to end
FILES = 1 << 16  # that this process may have open, if it is allowed to
ATTEMPTS = 3  # to start the server for the first time
REGISTER = 0.1  # seconds between two attempts to register the node
FIRST_WAIT, LONGEST_WAIT, STEADY = (
    0.05,
    5.0,
    2.0,
)  # seconds between two starts; of running, after which the wait is reset


def port(folder: ClusterFolder) -> int:
    try:
        return int(json.loads(folder.info.read_text())["port"])
    except (OSError, ValueError, KeyError) as error:
        raise HintedError(
            f"{folder.info} does not say which port the API has", f"{embedder.current().up} writes it"
        ) from error


class Server:
    """Keeps the API server running."""

    def __init__(self, folder: ClusterFolder) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = asyncio.Event()
        self.hopeless = asyncio.Event()  # it has died several times and never answered
        self.reason: HintedError | None = None  # why the last start failed
        self.started = 0.0
        self.stopping = False

    def start(self) -> int:
        """Start the process. Returns the end of a pipe that gets a byte once the server answers."""
        read, write = os.pipe()
        command = [sys.executable, "-m", "kubeproc.server", "--home", str(self.folder.root)]
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
        """The file of the lock, if a server of an earlier kubelet holds it."""
        file = open(self.folder.run / "server.lock", "a+", opener=lambda p, f: os.open(p, f, 0o600))  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return file
        file.close()
        return None

    async def keep(self) -> None:
        """Keep a server running until this is cancelled."""
        wait, failures = FIRST_WAIT, 0
        while not self.stopping:
            if file := self.adopted():
                self.ready.set()
                await _until_free(file)
            else:
                await self._one_life()
            if self.stopping:
                return
            if file := self.adopted():  # a server that an earlier kubelet has just started holds the lock
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
        except HintedError as error:
            self.reason = error
        await ended

    def pid(self) -> int:
        """The pid of the holder of the server's lock; 0 if unknown."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.folder.run / "server.lock").read_text())
        return 0

    async def stop(self) -> None:
        """Stop the server by TERM, then KILL, and wait for its end; also a child that is starting and has no lock yet."""
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
                if pid := child.pid if child else self.pid():  # 0 would signal this whole process group
                    os.kill(pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP):
                    await asyncio.shield(gone)
                return


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _answers(pipe: int) -> bool:
    """Wait for the pipe, return what it reports (`ready.read`), and close it."""
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
    """Wait until the lock of `file` is free, in a thread that does not keep this process alive."""
    loop = asyncio.get_running_loop()
    free: asyncio.Future[None] = loop.create_future()

    def wait() -> None:
        with file:
            fcntl.flock(file, fcntl.LOCK_SH)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(_resolve, free)

    threading.Thread(target=wait, daemon=True).start()
    await free


async def run(folder: ClusterFolder, executor: Executor, ready: int | None) -> None:
    """Run the kubelet until SIGTERM. `executor` runs the containers that are no programs."""
    folder.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock.keep(folder.run / "kubelet.lock", "kubelet")
    _allow_files()
    number = port(folder)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    lifeline = asyncio.create_task(stop_with_lifeline(stop)) if os.environ.get(LIFELINE) else None
    server = Server(folder)
    keeper = asyncio.create_task(server.keep())
    try:
        await asyncio.sleep(0)  # lets the server start before the kubelet's own imports
        await _serve(folder, number, executor, server, stop, ready)
    finally:
        await server.stop()
        keeper.cancel()
        if lifeline:
            lifeline.cancel()


async def _serve(
    folder: ClusterFolder, number: int, executor: Executor, server: Server, stop: asyncio.Event, ready: int | None
) -> None:
    """Run pods until `stop` is set."""
    from kubeproc.kubelet.http import Endpoint
    from kubeproc.kubelet.kubelet import Kubelet, end_leftovers

    end_leftovers(folder.pods)
    kubelet = Kubelet(folder, number, executor)
    endpoint = Endpoint(kubelet)
    ending = asyncio.create_task(stop.wait())
    starting = asyncio.create_task(_start(kubelet, endpoint, server))
    try:
        await asyncio.wait({ending, starting}, return_when="FIRST_COMPLETED")
        if starting.done():
            starting.result()
            pipes.say(ready)
            # TensorFlow's import begins as soon as the cluster is up, so the first pod of the lab image does not wait for it.
            warming = asyncio.create_task(kubelet.runtime.prewarm()) if os.environ.pop(PREWARM, "") else None
            await ending
            if warming:
                warming.cancel()
        starting.cancel()
    finally:
        await endpoint.stop()
        await kubelet.stop()


def _allow_files() -> None:
    """Let this process have many files open: each pod and each port of a Service needs some."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def stop_with_lifeline(stop: asyncio.Event) -> None:
    """Stop when the lifeline's holder is gone; at once if its file is gone, too."""
    with contextlib.suppress(FileNotFoundError):
        await _until_free(open(os.environ[LIFELINE]))  # noqa: SIM115
    log.warning("who started this cluster has ended without it: the cluster ends too")
    stop.set()


async def _start(kubelet: Kubelet, endpoint: Endpoint, server: Server) -> None:
    if kubelet.network:
        await _start_network(kubelet.network)
    await kubelet.runtime.start()
    kubelet.runtime.mechanisms["network"] = "its own for each pod" if kubelet.network else "this machine's"
    settle(kubelet.home, kubelet.runtime.isolation == "none")
    await endpoint.start()
    ready, hopeless = asyncio.create_task(server.ready.wait()), asyncio.create_task(server.hopeless.wait())
    await asyncio.wait({ready, hopeless}, timeout=PATIENCE, return_when="FIRST_COMPLETED")
    hopeless.cancel()
    if not ready.done():
        raise server.reason or HintedError("the server did not come up", f"see {kubelet.home.log / 'server.log'}")
    await _register(kubelet)


async def _start_network(network: Network) -> None:
    """HintedError where this machine no longer grants pods a network."""
    try:
        await network.start()
    except OSError as error:
        now = embedder.current()
        raise HintedError(
            f"pods can't have a network of their own here: {error.strerror or error}",
            f"{now.purge}, then {now.up}, makes a cluster whose pods share this machine's",
        ) from error


async def _register(kubelet: Kubelet) -> None:
    """Start the kubelet's work; try again while the server starts or restarts."""
    from kubeproc.kubelet.api_client import Refused, Unreachable

    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await kubelet.start()
        except (*Unreachable, Refused) as error:
            if (isinstance(error, Refused) and error.code < 500) or time.monotonic() > deadline:
                raise HintedError(f"the node can't be registered: {error}", f"see {kubelet.home.log}") from error
        await asyncio.sleep(REGISTER)
