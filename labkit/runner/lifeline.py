"""A run that is killed leaves nothing behind for long: its folder has a locked file, and the next run sweeps.

The runner holds an exclusive flock on FOLDER/lifeline from the start of its run to its last moment. The clusters that it, or
a notebook of it, has started wait for that lock (`embedded/lock.py`) and end when the kernel frees it; the warm parent of
its kernels ends with its socket. What nobody does then (delete the folder, processes that carry the run's mark elsewhere,
clusters in containers, namespaces on a cluster that is not the run's) the next `labkit run` does, which knows by the same
lock whose runner is dead; the file says the rest.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

from kubeproc.environment import LIFELINE
from labkit import client, cluster, paths
from labkit.errors import LabError

MARK = "LABKIT_RUN"  # in the environment of every process of a run
PREFIX = "labkit-run-"  # of a run's folder below the temporary one
FILE = "lifeline"
PATIENCE = 1.0  # seconds that a process may take to end by itself after the cluster has
REMOVAL = 1  # seconds to wait for a namespace's end: the cluster finishes a deletion by itself


@dataclass(frozen=True)
class Owner:
    """What a run's file says of it: the value of its mark, and whether the cluster is its own."""

    id: str
    own: bool


def hold(folder: Path, owner: Owner) -> IO[str]:
    """The run's file, locked until it is closed; what is started from now on ends with it."""
    file = open(folder / FILE, "a+", opener=lambda p, f: os.open(p, f, 0o600))  # noqa: SIM115
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(json.dumps(asdict(owner)))
    file.flush()
    os.environ[LIFELINE] = file.name
    return file


def sweep() -> list[Path]:
    """Delete what runs have left whose runner was killed; the folders of those."""
    swept = []
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{FILE}")):
        # OSError: it is another user's, or gone meanwhile, or its runner lives.
        with contextlib.suppress(OSError), open(path, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if written := file.read():  # else the run has only just begun
                _delete(path.parent, Owner(**json.loads(written)))
                swept.append(path.parent)
    return swept


def _delete(folder: Path, owner: Owner) -> None:
    for home in folder.glob("h*"):
        purge_clusters(home)
    if not owner.own:
        _delete_namespaces(folder)
    end_leftovers(owner.id)
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{folder}: what a run that was killed had left is deleted", file=sys.stderr)


def _delete_namespaces(folder: Path) -> None:
    """Those of its notebooks, if that cluster still runs."""
    for kubeconfig in folder.glob("*.kubeconfig"):
        with changed({"KUBECONFIG": str(kubeconfig)}), contextlib.suppress(Exception):  # whatever its client may raise
            client.remove("namespace", kubeconfig.stem, timeout=REMOVAL)


def purge_clusters(home: Path) -> list[str]:
    """Delete the clusters below this LABKIT_HOME, links aside; their names."""
    found = []
    with changed({"LABKIT_HOME": str(home)}):
        for root in sorted(paths.cluster("any").root.parent.glob("*")):
            if root.is_dir() and not root.is_symlink():
                found.append(root.name)
                with contextlib.suppress(LabError):  # its processes are found by their mark
                    cluster.down(root.name, purge=True)
    return found


def end_leftovers(mark: str) -> list[tuple[str, str]]:
    """End every process whose mark begins like this, this one and its parents aside; their marks and command lines.

    A process that is ending already gets a moment to do so: only what stays was left behind.
    """
    mine = {os.getpid()} | {p.pid for p in psutil.Process().parents()}
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            own = process.environ().get(MARK, "")
            if process.pid not in mine and own.startswith(mark):
                found[process] = own
    return [(found[p], _words(p)) for p in _end(list(found))]


def end_orphans(parent: int) -> list[str]:
    """End, and describe, what lives below the kernels' warm parent when no kernel does: processes that a kernel has forked.
    Nothing is in their environment but what the parent was started with, so that no mark shows whose they are."""
    try:
        below = psutil.Process(parent).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [f"pid {p.pid}: forked by a notebook" for p in _end(below)]


def _end(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that don't end by themselves in a moment, which are killed."""
    _, left = psutil.wait_procs(processes, timeout=PATIENCE)
    left = [p for p in left if _lives(p)]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=5)
    return left


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _words(process: psutil.Process) -> str:
    return f"pid {process.pid}: {' '.join(process.info['cmdline'] or [])[:200]}"


@contextlib.contextmanager
def changed(changes: dict[str, str]) -> Iterator[None]:
    """The environment with some changes, for a while."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        restore(before)


def restore(before: dict[str, str | None]) -> None:
    """Set what was set, and unset what was not."""
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})
