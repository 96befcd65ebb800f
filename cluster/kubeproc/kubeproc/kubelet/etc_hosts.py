"""/etc/hosts of a pod: the lines of this machine, whose network pods share, and the pod's own name.

Where paths are translated a pod has none, since the resolver would not find it at another path.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kubeproc.kubelet import env, pod_status
from kubeproc.runtime.launch import Mount

HOSTS = "/etc/hosts"


def write(pod: dict[str, Any], folder: Path) -> None:
    """Write the file to the pod's folder, if this machine has one."""
    name, domain = env.hostname(pod), pod["spec"].get("subdomain")
    full = f"{name}.{domain}.{pod['metadata']['namespace']}.svc.cluster.local\t" if domain else ""
    with contextlib.suppress(OSError, UnicodeError):
        known = Path(HOSTS).read_text()
        words = "# Kubernetes-managed hosts file (host network).\n"
        (folder / "hosts").write_text(f"{words}{known}\n{pod_status.ADDRESS}\t{full}{name}\n")


def mounts(folder: Path, others: Iterable[Mount]) -> tuple[Mount, ...]:
    """The file as a mount, unless the container has mounts of its own in its place."""
    file = folder / "hosts"
    taken = any(mount.target.rstrip("/") in ("/etc", HOSTS) for mount in others)
    return (Mount(file, HOSTS),) if file.exists() and not taken else ()
