"""Where labkit keeps things: one folder for each cluster below `$LABKIT_HOME`.

A cluster's folder must lie on a local disk: SQLite's locks and unix sockets do not work on network file systems. Where
the home is on one, the clusters go to /var/tmp instead, in a folder that every later command derives the same way, and
`labkit status` says so.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

from kubeproc import folder as cluster_folder
from kubeproc.folder import ClusterFolder, private
from labkit.errors import LabError, expected

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "afpfs", "lustre", "ceph", "glusterfs", "gpfs", "beegfs", "9p",
     "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "webdav", "davfs"}
)  # fmt: skip
MARK = "cluster/versions.yaml"  # where this is, the rest of the kit's files is


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


def workflows() -> Path:
    """The folder of the course's manifests: the work folder's own, beside its notebooks, which a student may change; or else
    the kit's. So a notebook finds them wherever it is executed."""
    here = Path.cwd()
    near = (folder / "workflows" for folder in (here, here.parent))
    return next((folder for folder in near if (folder / "end-to-end.yaml").is_file()), kit() / "workflows")


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
    with expected():
        return cluster_folder.own(folder)


def cluster(name: str = "labkit") -> ClusterFolder:
    """The folder of the cluster `name`: below the home, or on a local disk where the home is on a network."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?", name):
        raise LabError(f"{name!r} can't be a cluster's name", "use lower-case letters, digits and dashes, 42 at most")
    base = home()
    if network_file_system(base):
        base = private(Path("/var/tmp"), base)
    root = base / "clusters" / name
    # A link stands for the cluster itself: what is derived from the path must be the same by either way.
    return ClusterFolder(Path(os.path.realpath(root)) if root.is_symlink() else root)


def portable() -> bool:
    """Whether to do without what only Linux has: set by `LABKIT_PORTABLE=1`, and everywhere but on Linux."""
    return os.environ.get("LABKIT_PORTABLE") == "1" or not Path("/proc/self/ns").exists()
