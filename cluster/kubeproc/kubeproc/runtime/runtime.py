"""Starts programs: isolated if the kernel allows it, with translated paths otherwise; forked warm if the result is the
same.

The runtime knows nothing of Kubernetes. It owns two parents (see `kubeproc.warm`): a plain one that execs any program,
and a warm one with TensorFlow imported, started when it is first needed and ended after an hour of idleness. A
container's program is a child of one of them. When a parent is killed its containers die with it, and the next launch
restarts it; when this process ends, everything that it started ends, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from kubeproc.errors import HintedError
from kubeproc.folder import portable as without_linux
from kubeproc.runtime import archive, limits, paths
from kubeproc.runtime.launch import Launch, Process, SpawnError, may_fork
from kubeproc.runtime.startup import container_paths
from kubeproc.warm.parent_client import AsyncParent
from kubeproc.warm.spawn import Spawn, environment

PRELOAD = (
    "numpy",
    "tensorflow",
    "keras",
    "sklearn",
    "PIL.Image",
    "tensorflow.python.distribute.parameter_server_strategy_v2",
)
IDLE = 3600.0
TIOCSPTLCK, TIOCGPTPEER = 0x40045431, 0x5441  # Linux: unlock a terminal, and open its other end without a path
ENTER = "kubeproc.runtime.namespaces:enter"
SEE = "kubeproc.runtime.startup.container_paths:enter"
JOIN = "kubeproc.runtime.namespaces:join"
ISOLATION = {
    "root": "mount, pid, ipc and UTS namespaces",
    "user": "mount, pid, ipc, UTS and user namespaces",
    "none": "translated paths",
}


class Runtime:
    """`await start()`, `await launch(...)`, `await exec(...)`, `await stop()`; everything on one event loop."""

    def __init__(
        self,
        home: Path,
        *,
        portable: bool | None = None,
        isolation: str | None = None,
        preload: Sequence[str] = PRELOAD,
        idle: float = IDLE,
        users: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`users` returns the descriptor of the user namespace in which programs run as an ordinary user, if it exists already:
        the one that owns the network namespaces of launches."""
        self.home = home
        self.portable = without_linux() if portable is None else portable
        self.isolation = "none" if self.portable else isolation or ""
        self.preload = preload
        self.idle = idle
        self.users = users
        self.mechanisms: dict[str, str] = {}
        self.parents: dict[str, asyncio.Task[AsyncParent]] = {}
        self.retiring: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if not self.isolation:
            self.isolation = await self.detect()
        await self.parent("plain")
        self.mechanisms = {
            "isolation": ISOLATION[self.isolation],
            "processes": "plain spawns" if self.portable else "warm forks for Python, plain forks",
            "memory": limits.mechanism(self.portable),
        }

    async def stop(self) -> None:
        """End every program, and the parents."""
        if self.retiring:
            self.retiring.cancel()
        for task in self.parents.values():
            task.cancel()  # no effect on one that is done
        for parent in await asyncio.gather(*self.parents.values(), return_exceptions=True):
            if isinstance(parent, AsyncParent):
                await parent.stop()
        self.parents.clear()

    async def prewarm(self) -> None:
        """Start the warm parent ahead of time. Does nothing in portable mode, which has no warm parent."""
        if not self.portable:
            await self.parent("warm")

    async def detect(self) -> str:
        """The kind of isolation that works here, found by trying: "root", "user" or "none"."""
        for kind in ("root", "user") if os.geteuid() == 0 else ("user",):
            self.isolation = kind
            with tempfile.TemporaryDirectory(dir=self.home) as root, contextlib.suppress(SpawnError):
                process = await self.launch(Launch(["true"], {"PATH": os.defpath}, "/", Path(root)))
                close(process)
                if (await process.wait()).code == 0:
                    return kind
            await self.stop()
        return "none"

    # parents

    @property
    def plain(self) -> AsyncParent | None:
        """The parent that execs, while it lives."""
        return self.living("plain")

    @property
    def warm(self) -> AsyncParent | None:
        """The parent with TensorFlow, while it lives."""
        return self.living("warm")

    def living(self, name: str) -> AsyncParent | None:
        task = self.parents.get(name)
        started = task and task.done() and not task.cancelled() and not task.exception()
        return task.result() if task and started and task.result().alive else None

    async def parent(self, name: str) -> AsyncParent:
        """The running parent of this name, started if needed: once, for any number of waiters, even if some are
        cancelled."""
        task = self.parents.get(name)
        if task is None or (task.done() and not self.living(name)):
            task = self.parents[name] = asyncio.create_task(self.begin(name))
        return await asyncio.shield(task)

    async def begin(self, name: str) -> AsyncParent:
        preload = [*(self.preload if name == "warm" else ()), *self.own()]
        namespaces = "" if self.isolation == "none" else self.isolation
        users = self.users() if namespaces == "user" else None
        parent = await AsyncParent.start(
            preload, portable=self.portable, namespaces=namespaces, log=self.log(), users=users
        )
        if name == "warm":
            self.retiring = asyncio.create_task(self.retire(parent))
        return parent

    async def retire(self, parent: AsyncParent) -> None:
        """End a parent that has been idle for long."""
        while parent.alive:
            left = parent.last_used + self.idle - asyncio.get_running_loop().time()
            if left <= 0 and not parent.children:
                await parent.stop()
                return
            await asyncio.sleep(max(left, min(self.idle, 1.0)))

    def own(self) -> list[str]:
        """Modules that children need before they run the program: imported once."""
        return [] if self.portable else ["kubeproc.runtime.namespaces"]

    def log(self) -> Path:
        folder = self.home / "log"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / "warm.log"

    # programs

    async def launch(self, launch: Launch) -> Process:
        """Start a container's program. Raises SpawnError: the program is missing, a mount can't be made, ..."""
        (launch.root / "tmp").mkdir(parents=True, exist_ok=True)
        (launch.root / "tmp").chmod(0o1777)
        warm = launch.warm and not self.portable and may_fork(launch.argv, launch.env, environment())
        try:
            parent = await self.parent("warm" if warm else "plain")
        except SpawnError:
            if not warm:
                raise
            warm = False  # it ended during its imports: the log has the reason
            parent = await self.parent("plain")
        if self.isolation == "none":
            spawn = self.translated(launch, warm)
        else:
            spec = {
                "root": str(launch.root.resolve()),
                "binds": list(paths.host_binds()),
                "mounts": [[str(mount.source.resolve()), mount.target, mount.read_only] for mount in launch.mounts],
                "caches": [[str(mount.source.resolve()), mount.target] for mount in paths.cache_mounts(launch)],
                "init": launch.init,
                "cwd": launch.cwd or "/",
                "hostname": launch.hostname,
                "tty": launch.tty,
            }
            spawn = Spawn(launch.argv, launch.env, launch.cwd or "/", warm, launch.tty, ENTER, spec, "new")
        return await self.spawn(parent, spawn, launch, launch.stdin)

    async def exec(
        self,
        process: Process,
        argv: list[str],
        env: dict[str, str] | None = None,
        tty: bool = False,
        stdin: bool = True,
    ) -> Process:
        """Start another program inside a running container, on descriptors of its own."""
        if not process.running:
            raise SpawnError("the container is not running")
        launch = replace(
            process.launch, argv=argv, env=process.launch.env if env is None else env, tty=tty, init=False, warm=False
        )
        if self.isolation == "none":
            # It sees all processes of the host and could not tell which one is the container's program.
            program = {"KUBEPROC_PID": str(process.pid) if process.launch.init else ""}
            launch = replace(launch, argv=archive.argv(launch, argv), env={**launch.env, **program})
            spawn = self.translated(launch, False)
        else:
            place = str(process.pid)
            spawn = Spawn(argv, launch.env, launch.cwd or "/", False, tty, JOIN, {"pid": place}, place)
        inside = await self.spawn(process.child.parent, spawn, launch, stdin, process.pid)
        process.inside.append(inside)
        inside.child.exit.add_done_callback(lambda _: process.inside.remove(inside))
        return inside

    def translated(self, launch: Launch, warm: bool) -> Spawn:
        """The launch in the host's paths. Raises SpawnError for a path that can't be translated."""
        try:
            return self.in_host_paths(launch, warm)
        except HintedError as error:
            raise SpawnError(str(error)) from error

    def in_host_paths(self, launch: Launch, warm: bool) -> Spawn:
        env = {name: self.translate(launch, value) for name, value in launch.env.items()}
        home = self.host_path(launch, launch.env.get("HOME") or "/")
        cwd = self.host_path(launch, launch.cwd or "/")
        paths.own_folders(launch.root)
        for folder in (home, cwd):
            if not folder.exists():
                folder.mkdir(parents=True)
        view = {container_paths.VARIABLE: paths.view(launch)}
        startup = os.pathsep.join(filter(None, [str(paths.STARTUP), env.get("PYTHONPATH")]))
        env |= {"HOME": paths.said(launch, home), "PYTHONPATH": startup, **view}
        env.setdefault("TMPDIR", self.translate(launch, "/tmp"))
        argv = [self.translate(launch, word) for word in launch.argv]
        return Spawn(argv, env, str(cwd), warm, launch.tty, SEE if warm else "", view if warm else {})

    async def spawn(
        self, parent: AsyncParent, spawn: Spawn, launch: Launch, stdin: bool, inside: int | None = None
    ) -> Process:
        """`inside` is the pid of a program whose container it joins."""
        of = inside if self.isolation != "none" else None
        ours, theirs = open_terminal(of) if launch.tty else open_pipes(stdin)
        try:
            child = await parent.spawn(spawn, theirs if launch.netns is None else [*theirs, launch.netns])
        except BaseException:
            for fd in set(ours) - {None}:
                os.close(fd)  # type: ignore[arg-type]
            raise
        finally:
            for fd in set(theirs):
                os.close(fd)
        return Process(child, launch, ours[1], ours[2], ours[0], spawn.python)  # type: ignore[arg-type]

    # paths

    def host_path(self, launch: Launch, path: str) -> Path:
        """The host path of a container's path."""
        return paths.host_path(launch, path)

    def translate(self, launch: Launch, text: str) -> str:
        """A text (such as a script) with the paths that the container's program needs: unchanged if it has its own
        mounts."""
        return paths.translate(launch, text) if self.isolation == "none" else text


def open_pipes(stdin: bool) -> tuple[list[int | None], list[int]]:
    """(our ends, the program's): standard input (or /dev/null), output, error."""
    read_in, write_in = os.pipe() if stdin else (os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), None)
    read_out, write_out = os.pipe()
    read_error, write_error = os.pipe()
    return [write_in, read_out, read_error], [read_in, write_out, write_error]


def open_terminal(container: int | None = None) -> tuple[list[int | None], list[int]]:
    """A new terminal: from the devpts of the container in which the process `container` runs, so that it has a name
    there."""
    try:
        ours, theirs = own_terminal(container) if container else pty.openpty()
    except OSError:  # the process has ended, or is not accessible
        ours, theirs = pty.openpty()
    for fd in (ours, theirs):
        os.set_inheritable(fd, False)
    return [os.dup(ours), ours, None], [theirs, theirs, theirs]


def own_terminal(container: int) -> tuple[int, int]:
    ours = os.open(f"/proc/{container}/root/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.ioctl(ours, TIOCSPTLCK, struct.pack("i", 0))
        return ours, fcntl.ioctl(ours, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        os.close(ours)
        raise


def close(process: Process) -> None:
    """Close a process's remaining descriptors."""
    for fd in (process.stdin, process.stdout, process.stderr):
        if fd is not None:
            os.close(fd)
