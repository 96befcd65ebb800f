"""/etc/hosts of a pod: this machine's, whose network pods share, and the pod's own name.

Where paths are translated there is none, since nobody tells the resolver of another path.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labkit.embedded.kubelet import env, status
from labkit.embedded.runtime.launch import Mount

HOSTS = "/etc/hosts"


def write(pod: dict[str, Any], folder: Path) -> None:
    """Make the file in the pod's folder; not where this machine has none."""
    name, domain = env.hostname(pod), pod["spec"].get("subdomain")
    full = f"{name}.{domain}.{pod['metadata']['namespace']}.svc.cluster.local\t" if domain else ""
    with contextlib.suppress(OSError, UnicodeError):
        known = Path(HOSTS).read_text()
        words = "# Kubernetes-managed hosts file (host network).\n"
        (folder / "hosts").write_text(f"{words}{known}\n{status.ADDRESS}\t{full}{name}\n")


def mounts(folder: Path, others: Iterable[Mount]) -> tuple[Mount, ...]:
    """The file as a mount, unless the container has mounts of its own in its place."""
    file = folder / "hosts"
    taken = any(mount.target.rstrip("/") in ("/etc", HOSTS) for mount in others)
    return (Mount(file, HOSTS),) if file.exists() and not taken else ()
