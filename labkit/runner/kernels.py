"""Kernels forked from a warm parent that has imported ipykernel and TensorFlow: a notebook starts in a tenth of a second.

The parent (kubeproc.warm) is started once for a run. To jupyter_client a forked kernel looks like a process that it
launched itself: `Forked` has the part of Popen's interface that its LocalProvisioner uses. Without warm parents
(`LABKIT_PORTABLE=1`), and for notebooks that need it (`cold`), kernels are ordinary ones. Either way a kernel is what
`labkit lab` starts: ipykernel, in the notebook's folder, with the environment's programs first in PATH.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from kubeproc.folder import appended
from kubeproc.warm.spawn import Spawn
from kubeproc.warm.sync import SyncChild, SyncParent

PRELOAD = (
    "ipykernel.kernelapp",
    "IPython.core.completer",
    "matplotlib.pyplot",
    "numpy",
    "kubernetes.client",
    "kubernetes.dynamic",
    "yaml",
    "labkit.interactive",
)
# -P keeps the folder out of sys.path: 3.13 imports a module before the first line of -c. It is put where ipykernel puts it
# without -P, behind the standard library, when all that ipykernel starts with is imported.
# Half of a surrogate pair has no UTF-8: ipykernel would lose the message, and sometimes all later ones, so it is escaped.
# A cluster that does not answer is one line from the first cell on, whether or not that cell imports labkit.
LAUNCH = """
import json
import sys
from ipykernel.kernelapp import IPKernelApp
from jupyter_client.jsonutil import json_default
from labkit import interactive
app = IPKernelApp.instance()
app.initialize()
def pack(message, plain=app.session.pack):
    try:
        return plain(message)
    except UnicodeError:
        return json.dumps(message, default=json_default).encode()
app.session.pack = pack
interactive.install()
sys.path.insert(next((i for i, p in enumerate(sys.path) if p.endswith("-packages")), len(sys.path)), "")
app.start()
"""
INLINE = "module://matplotlib_inline.backend_inline"  # what ipykernel sets where nothing is set
HEAVY = ("tensorflow", "kfp", "sklearn")  # imported where a notebook of the run imports them


def command(connection_file: str) -> list[str]:
    """Start this interpreter's ipykernel, in any folder: `-m ipykernel_launcher` would import some modules from it first."""
    return [sys.executable, "-P", "-c", LAUNCH, "-f", connection_file]


def programs(environment: Mapping[str, str]) -> str:
    """PATH with this environment's programs first, as when it is activated: `!python` is this Python."""
    own = os.path.dirname(sys.executable)
    return os.pathsep.join([own, *filter(None, [environment.get("PATH", os.defpath)])])


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """What the warm parent imports its modules with: the user's settings of them, and nothing of a cluster."""
    return {
        k: v for k, v in environment.items() if k not in ("KUBECONFIG", "MPLBACKEND") and not k.startswith("LABKIT_")
    }


LOST = 1  # the exit code of a kernel whose end was not seen


class Forked:
    """A kernel's process, with what LocalProvisioner uses of subprocess.Popen."""

    stdin = stdout = stderr = None

    def __init__(self, nursery: Nursery, child: SyncChild) -> None:
        self.nursery, self.child, self.pid = nursery, child, child.pid

    def poll(self) -> int | None:
        with self.nursery.lock:
            ended = self.child.poll()
        if ended and ended.lost:  # with its warm parent; its memory was no reason
            return LOST
        return None if ended is None else -ended.signal if ended.signal else ended.code

    def wait(self) -> int | None:
        with self.nursery.lock:
            self.child.wait(10)
        return self.poll()

    def send_signal(self, number: int) -> None:
        with self.nursery.lock:
            self.child.kill(number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class Nursery:
    """The warm parent of one run, shared by its threads; `imports` are the modules that its notebooks import."""

    def __init__(self, log: Path, imports: Collection[str] = HEAVY) -> None:
        self.lock = threading.Lock()
        modules = [*PRELOAD, *(name for name in HEAVY if name in imports)]
        self.parent = SyncParent(modules, log=log, env=settings(os.environ))

    def fork(self, command: list[str], env: dict[str, str], cwd: str) -> Forked:
        """Start `python ...` as a child of the warm parent; its standard streams go to /dev/null, as a kernel's do."""
        null = os.open(os.devnull, os.O_RDWR)
        try:
            with self.lock:
                return Forked(self, self.parent.spawn(Spawn(command, env, cwd=cwd, python=True), [null] * 3))
        finally:
            os.close(null)

    def close(self) -> None:
        with self.lock:
            self.parent.stop()


class ForkingProvisioner(LocalProvisioner):
    """Launches the kernel from a nursery; all else is the local provisioner's."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        assert self.parent is not None
        nursery, folder = self.parent.nursery, self.parent.folder
        env = {"MPLBACKEND": INLINE} | {k: v for k, v in kwargs["env"].items() if isinstance(v, str)}
        process: Any = await asyncio.to_thread(nursery.fork, cmd, env, folder)
        self.process, self.pid, self.pgid = process, process.pid, process.pid
        return self.connection_info


class StartingProvisioner(LocalProvisioner):
    """Starts an interpreter; what it says before it listens, such as why it does not start, goes to the run's journal."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        assert self.parent is not None
        with appended(self.parent.journal) as journal:
            return await super().launch_kernel(cmd, **kwargs, stdout=journal, stderr=journal)


class CourseKernelManager(AsyncKernelManager):
    """A kernel for one notebook: its folder and environment are the class's, since papermill makes the instance."""

    nursery: Nursery | None = None
    folder: str = "."
    environment: dict[str, str] = {}
    journal: Path

    def _async_pre_start_kernel(self, **kwargs: Any) -> Any:
        kwargs.setdefault("env", {**os.environ, "PATH": programs(os.environ), **self.environment})
        kwargs["cwd"] = self.folder
        if kubeconfig := self.environment.get("KUBECONFIG"):  # in the run's own folder, which goes however the run ends
            self.connection_file = f"{kubeconfig}.{self.kernel_id}.json"
        if self.nursery and self.provisioner is None:
            self.provisioner = ForkingProvisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)
        if self.provisioner is None:
            self.provisioner = StartingProvisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)
        return super()._async_pre_start_kernel(**kwargs)

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """This interpreter's ipykernel, whatever kernel spec of that name the user may have installed."""
        return [*command(self.connection_file), *(extra_arguments or [])]


def manager_class(
    nursery: Nursery | None, folder: Path, environment: dict[str, str], journal: Path
) -> type[CourseKernelManager]:
    """A kernel manager class for one notebook, as papermill takes it (`kernel_manager_class`)."""
    attributes = {"nursery": nursery, "folder": str(folder), "environment": environment, "journal": journal}
    return type("NotebookKernelManager", (CourseKernelManager,), attributes)
