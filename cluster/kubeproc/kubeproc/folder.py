"""The folder of a cluster: its files and their permissions.

Sockets get short paths (a unix socket's path has at most 107 bytes). Where paths in pods are translated, the pods'
folders get plain paths (`settle`).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kubeproc import embedder
from kubeproc.environment import PORTABLE
from kubeproc.errors import HintedError

PLAIN = re.compile(r"[A-Za-z0-9_./+@-]+")  # no special meaning in a shell, Python, a pattern or a format
SOCKET_PATH = 107  # bytes in sockaddr_un.sun_path on Linux, 103 on macOS


@dataclass(frozen=True)
class ClusterFolder:
    """The files of one cluster; nothing is created here."""

    root: Path

    @property
    def info(self) -> Path:
        return self.root / "cluster.json"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def database(self) -> Path:
        return self.root / "state.db"

    @property
    def ca(self) -> Path:
        return self.root / "ca.crt"

    @property
    def certificate(self) -> Path:
        return self.root / "server.crt"

    @property
    def key(self) -> Path:
        return self.root / "server.key"

    @property
    def tokens(self) -> Path:
        return self.root / "tokens.json"

    @property
    def run(self) -> Path:
        """Locks and sockets: in the cluster's folder, or in /tmp if that path is too long."""
        here = self.root / "run"
        if len(os.fsencode(here)) + len("/kubelet.sock.12345678") < SOCKET_PATH - 4:
            return here
        # Not below TMPDIR: every process must derive the same folder, whatever its environment says.
        return private(Path("/tmp"), self.root)

    @property
    def pods(self) -> Path:
        return self.root / "pods"

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    @property
    def plain(self) -> Path:
        """The folder of pods and volumes if the cluster's folder has a path that is not plain: see `settle`."""
        return private(Path("/var/tmp"), self.root)

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def kubelet_socket(self) -> Path:
        return self.run / "kubelet.sock"

    @property
    def lending_socket(self) -> Path:
        """Where the kubelet passes on connections to pods that have a network of their own."""
        return self.run / "pods.sock"


def own(folder: Path) -> Path:
    """Create `folder`, readable by its owner only; HintedError if it belongs to another user or can't be created."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shared = [part for part in folder.parents if part.name == _name()]  # in /tmp, where any user may create it
        if any(part.stat().st_uid != os.getuid() for part in (folder, *shared)):
            raise HintedError(f"{folder} belongs to another user", embedder.current().home)
    except (PermissionError, OSError) as error:
        if isinstance(error, HintedError):
            raise
        raise HintedError(f"{folder} can't be created: {error.strerror}", embedder.current().home) from error
    return folder


def appended(path: Path) -> BinaryIO:
    """A log opened for appending, readable by its owner only; the mode of an existing file is corrected."""
    file = open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
    os.fchmod(file.fileno(), 0o600)
    return file


def _name() -> str:
    return f"labkit-{os.getuid()}"


def private(base: Path, of: Path) -> Path:
    return base / _name() / hashlib.sha256(os.fsencode(of)).hexdigest()[:12]


def is_plain(path: Path) -> bool:
    """Whether the path can appear unquoted in any text and remain one path."""
    return PLAIN.fullmatch(str(path)) is not None


def settle(folder: ClusterFolder, translated: bool) -> None:
    """Create the folders of the pods and of the claims, at a plain path where paths are translated.

    Translated paths become part of shell scripts and programs, where "/my disk/lab" would be two words. In that case
    the cluster's folder has links to the plain folders. The reverse would fail: programs resolve links and use the
    resolved path.
    """
    for part in (folder.pods, folder.volumes):
        target = folder.plain / part.name
        if not part.is_symlink() and translated and not is_plain(Path(os.path.realpath(part))):
            own(target.parent)
            shutil.rmtree(target, ignore_errors=True)  # left by a cluster whose folder was deleted by hand
            if part.exists():
                shutil.move(part, target)  # left by a start with namespaces
            part.symlink_to(target)
        own(Path(os.path.realpath(part)))  # recreate it: the system may clean up /var/tmp


def portable() -> bool:
    """Whether to avoid features that only Linux has: with `KUBEPROC_PORTABLE=1`, and on every system except Linux."""
    return os.environ.get(PORTABLE) == "1" or not Path("/proc/self/ns").exists()
