"""Kernels forked from a warm parent that has imported ipykernel and TensorFlow: a notebook starts in a tenth of a second.

The parent (labkit.warm) is started once for a run. To jupyter_client a forked kernel looks like a process that it
launched itself: `Forked` has the part of Popen's interface that its LocalProvisioner uses. Without warm parents
(`LABKIT_PORTABLE=1`) kernels are ordinary ones.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from labkit.warm.spawn import Spawn
from labkit.warm.sync import SyncChild, SyncParent

PRELOAD = (
    "ipykernel.kernelapp",
    "IPython.core.completer",
    "matplotlib.pyplot",
    "numpy",
    "kubernetes.client",
    "kubernetes.dynamic",
    "yaml",
)
HEAVY = ("tensorflow", "kfp", "sklearn")  # imported where a notebook of the run imports them


class Forked:
    """A kernel's process, with what LocalProvisioner uses of subprocess.Popen."""

    stdin = stdout = stderr = None

    def __init__(self, nursery: Nursery, child: SyncChild) -> None:
        self.nursery, self.child, self.pid = nursery, child, child.pid

    def poll(self) -> int | None:
        with self.nursery.lock:
            ended = self.child.poll()
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
        self.parent = SyncParent([*PRELOAD, *(name for name in HEAVY if name in imports)], log=log)

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
        env = {k: v for k, v in kwargs["env"].items() if isinstance(v, str)}
        process: Any = await asyncio.to_thread(nursery.fork, cmd, env, folder)
        self.process, self.pid, self.pgid = process, process.pid, process.pid
        return self.connection_info


class CourseKernelManager(AsyncKernelManager):
    """A kernel for one notebook: its folder and environment are the class's, since papermill makes the instance."""

    nursery: Nursery | None = None
    folder: str = "."
    environment: dict[str, str] = {}

    def _async_pre_start_kernel(self, **kwargs: Any) -> Any:
        kwargs.setdefault("env", {**os.environ, **self.environment})
        kwargs["cwd"] = self.folder
        if self.nursery and self.provisioner is None:
            self.provisioner = ForkingProvisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)
        return super()._async_pre_start_kernel(**kwargs)

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """This interpreter's ipykernel, whatever kernel spec of that name the user may have installed."""
        return [sys.executable, "-m", "labkit.runner.kernel", "-f", self.connection_file, *(extra_arguments or [])]


def manager_class(nursery: Nursery | None, folder: Path, environment: dict[str, str]) -> type[CourseKernelManager]:
    """A kernel manager class for one notebook, as papermill takes it (`kernel_manager_class`)."""
    attributes = {"nursery": nursery, "folder": str(folder), "environment": environment}
    return type("NotebookKernelManager", (CourseKernelManager,), attributes)
