"""Where labkit keeps things: one folder for each cluster below `$LABKIT_HOME`.

A cluster's folder must lie on a local disk: SQLite's locks and unix sockets do not work on network file systems. Where
the home is on one, the clusters go to /var/tmp instead, in a folder that every later command derives the same way, and
`labkit status` says so. Sockets have short paths (a unix socket's may have 107 bytes at most). Where a pod's paths are
translated, its folders have plain ones (`settle`).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

from labkit.errors import LabError

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "afpfs", "lustre", "ceph", "glusterfs", "gpfs", "beegfs", "9p",
     "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "webdav", "davfs"}
)  # fmt: skip
MARK = "cluster/versions.yaml"  # where this is, the rest of the kit's files is
PLAIN = re.compile(r"[A-Za-z0-9_./+@-]+")  # means nothing but itself to a shell, Python, a pattern or a format
SOCKET_PATH = 107  # bytes in sockaddr_un.sun_path on Linux, 103 on macOS


def home() -> Path:
    """`$LABKIT_HOME`, by default `~/.local/share/labkit`."""
    return Path(os.environ.get("LABKIT_HOME") or "~/.local/share/labkit").expanduser().absolute()


@cache
def kit() -> Path:
    """The folder with cluster/, workflows/, notebooks/ and requirements.txt: the checkout that this package is run from, or
    `share/labkit`, where an installation that is not editable has put them."""
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / MARK).is_file():
        return checkout
    from importlib import metadata  # in a function: 20 ms that few need

    try:
        files = metadata.files("labkit") or []
    except metadata.PackageNotFoundError:
        return checkout
    found = next((file for file in files if file.match(f"share/labkit/{MARK}")), None)
    return Path(str(found.locate())).resolve().parents[1] if found else checkout


def mounts() -> list[tuple[str, str]]:
    """(mount point, file system type) of everything mounted here."""
    import psutil  # in a function: a tenth of this module's users need it

    try:
        return [(p.mountpoint, p.fstype) for p in psutil.disk_partitions(all=True)]
    except OSError:
        return []


def network_file_system(path: Path) -> str:
    """The type of the network file system that `path` lies on, or '' when it lies on a local disk."""
    real = os.path.realpath(path)
    under = [(point, kind) for point, kind in mounts() if real == point or real.startswith(point.rstrip("/") + "/")]
    kind = max(under, key=lambda m: len(m[0]), default=("", ""))[1]
    return kind if kind in NETWORK_FILE_SYSTEMS else ""


def own(folder: Path) -> Path:
    """Make `folder`, readable by its owner only; LabError when it belongs to somebody else or can't be made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shared = [part for part in folder.parents if part.name == _name()]  # made in a place where anybody may make it
        if any(part.stat().st_uid != os.getuid() for part in (folder, *shared)):
            raise LabError(f"{folder} belongs to another user", "set LABKIT_HOME to a folder of your own")
    except (PermissionError, OSError) as error:
        if isinstance(error, LabError):
            raise
        raise LabError(
            f"{folder} can't be made: {error.strerror}", "set LABKIT_HOME to a folder that you may write"
        ) from error
    return folder


def appended(path: Path) -> BinaryIO:
    """A log, opened to be appended to, that its owner alone may read; one that others may read is closed to them."""
    file = open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
    os.fchmod(file.fileno(), 0o600)
    return file


def _name() -> str:
    return f"labkit-{os.getuid()}"


def _private(base: Path, of: Path) -> Path:
    return base / _name() / hashlib.sha256(os.fsencode(of)).hexdigest()[:12]


def is_plain(path: Path) -> bool:
    """Whether the path may stand in any text, unquoted, and still be one path there."""
    return PLAIN.fullmatch(str(path)) is not None


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
        """Locks and sockets: in the cluster's folder, or in /tmp where that path is too long."""
        here = self.root / "run"
        if len(os.fsencode(here)) + len("/kubelet.sock.12345678") < SOCKET_PATH - 4:
            return here
        # Not TMPDIR's folder: whoever asks must derive the same one, whatever its environment says.
        return _private(Path("/tmp"), self.root)

    @property
    def pods(self) -> Path:
        return self.root / "pods"

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    @property
    def plain(self) -> Path:
        """Where pods and volumes lie when the cluster's folder has a path that is not plain: see `settle`."""
        return _private(Path("/var/tmp"), self.root)

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def kubelet_socket(self) -> Path:
        return self.run / "kubelet.sock"


def cluster(name: str = "labkit") -> ClusterFolder:
    """The folder of the cluster `name`: below the home, or on a local disk where the home is on a network."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?", name):
        raise LabError(f"{name!r} can't be a cluster's name", "use lower-case letters, digits and dashes, 42 at most")
    base = home()
    if network_file_system(base):
        base = _private(Path("/var/tmp"), base)
    root = base / "clusters" / name
    # A link stands for the cluster itself: what is derived from the path must be the same by either way.
    return ClusterFolder(Path(os.path.realpath(root)) if root.is_symlink() else root)


def settle(folder: ClusterFolder, translated: bool) -> None:
    """Make the folders of the pods and of the claims; at a plain path where paths are translated.

    There they become part of shell scripts and programs, where "/my disk/lab" would be two words. The cluster's folder has
    links to them then. Not the other way round: programs resolve links, and go on with what they find.
    """
    for part in (folder.pods, folder.volumes):
        target = folder.plain / part.name
        if not part.is_symlink() and translated and not is_plain(Path(os.path.realpath(part))):
            own(target.parent)
            shutil.rmtree(target, ignore_errors=True)  # of a cluster whose folder was deleted by hand
            if part.exists():
                shutil.move(part, target)  # of a start with namespaces
            part.symlink_to(target)
        own(Path(os.path.realpath(part)))  # again: what is in /var/tmp may be tidied up


def portable() -> bool:
    """Whether to do without what only Linux has: set by `LABKIT_PORTABLE=1`, and everywhere but on Linux."""
    return os.environ.get("LABKIT_PORTABLE") == "1" or not Path("/proc/self/ns").exists()
