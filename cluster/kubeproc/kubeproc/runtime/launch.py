"""What to start, and what was started: the data types of the runtime's interface."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import struct
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kubeproc.warm import python
from kubeproc.warm.parent_client import AsyncChild
from kubeproc.warm.settings import HARMLESS, is_read
from kubeproc.warm.spawn import Exit, SpawnError

__all__ = ["Exit", "Launch", "Mount", "Process", "SpawnError", "may_fork"]


@dataclass(frozen=True)
class Mount:
    """A folder or file of the host at an absolute path of the container."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Launch:
    """A program and its environment.

    `root` is the container's own folder on disk: files written outside `mounts` go there, /tmp is root/tmp. `paths` are
    further container paths that mean `root` where paths are translated (no namespaces): a program's outputs.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: str
    root: Path
    mounts: tuple[Mount, ...] = ()
    warm: bool = False  # can be forked from the TensorFlow parent
    init: bool = False  # a pid 1 of its own above the program (shareProcessNamespace)
    stdin: bool = False  # keep standard input open as a pipe
    tty: bool = False
    paths: tuple[str, ...] = ()
    hostname: str = ""  # the host's if it is empty, or without namespaces
    netns: int | None = None  # the descriptor of its network namespace; the host's if it is None


@dataclass(eq=False)
class Process:
    """A running program. `stdout`, `stderr` (None with a terminal) and `stdin` are descriptors of this process, whose
    owner closes them; `pid` is the host's."""

    child: AsyncChild
    launch: Launch
    stdout: int
    stderr: int | None
    stdin: int | None
    warm: bool = False
    inside: list[Process] = field(default_factory=list)  # running processes that were exec'ed into it

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def started(self) -> float:
        return self.child.started

    @property
    def running(self) -> bool:
        return not self.child.exit.done()

    async def wait(self) -> Exit:
        return await self.child.wait()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal the program; no effect if it has ended."""
        self.child.kill(number)

    def close_stdin(self) -> None:
        """Close our end of the program's standard input, if it is open."""
        if self.stdin is not None:
            fd, self.stdin = self.stdin, None
            os.close(fd)

    def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size (tty only)."""
        fcntl.ioctl(self.stdout, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))


def may_fork(argv: list[str], env: Mapping[str, str], parent: Mapping[str, str] | None = None) -> bool:
    """Whether a warm parent's child behaves like a fresh `python` with this command line and environment.

    It must be this interpreter, with nothing but -m, -c, a script or `-` and harmless flags, and no variable may differ
    from the parent's (`parent`) that Python, TensorFlow or its dependencies read at import.
    """
    name = os.path.basename(argv[0]) if argv else ""
    if not name.startswith("python") or python.parse(argv) is None:
        return False
    found = shutil.which(argv[0], path=env.get("PATH", os.defpath))
    if found is None or os.path.realpath(found) != os.path.realpath(sys.executable):
        return False
    if os.path.dirname(found) != os.path.dirname(sys.executable):
        return False  # the same program as another environment's python
    return all(name in HARMLESS or (parent or {}).get(name) == value for name, value in env.items() if is_read(name))
