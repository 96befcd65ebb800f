"""/etc/hosts of a pod, and /etc/resolv.conf and /etc/nsswitch.conf where it has a network of its own.

In the host's network the file has the lines of this machine, and the pod's own name. Where paths are translated a pod has none,
since the resolver would not find it at another path.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kubeproc.kubelet import env, pod_status
from kubeproc.network import names
from kubeproc.runtime.launch import Mount

HOSTS, RESOLV, NSSWITCH = "/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf"
FILES = {HOSTS: "hosts", RESOLV: "resolv.conf", NSSWITCH: "nsswitch.conf"}  # names in the pod's folder
LOCAL = """\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""


def write(pod: dict[str, Any], folder: Path, address: str = "") -> None:
    """Write the files to the pod's folder. `address` is the pod's in its own network; empty in the host's."""
    name, domain = env.hostname(pod), pod["spec"].get("subdomain")
    namespace = pod["metadata"]["namespace"]
    full = f"{name}.{domain}.{namespace}.svc.cluster.local\t" if domain else ""
    with contextlib.suppress(OSError, UnicodeError):
        if address:
            known = LOCAL
            (folder / FILES[RESOLV]).write_text(names.resolv_conf(namespace))
            (folder / FILES[NSSWITCH]).write_text(_order())
        else:
            known = f"# Kubernetes-managed hosts file (host network).\n{Path(HOSTS).read_text()}\n"
        (folder / FILES[HOSTS]).write_text(f"{known}{address or pod_status.ADDRESS}\t{full}{name}\n")


def _order() -> str:
    """This machine's nsswitch.conf, with hosts and DNS as the only sources of names: others are out of a pod's reach."""
    with contextlib.suppress(OSError, UnicodeError):
        lines = Path(NSSWITCH).read_text().splitlines()
        return "\n".join([*(line for line in lines if not line.startswith("hosts:")), "hosts: files dns", ""])
    return "hosts: files dns\n"


def mounts(folder: Path, others: Iterable[Mount]) -> tuple[Mount, ...]:
    """The files as mounts, unless the container has mounts of its own in their place."""
    taken = {mount.target.rstrip("/") for mount in others}
    found = ((folder / name, target) for target, name in FILES.items())
    return tuple(Mount(file, target) for file, target in found if file.exists() and not taken & {"/etc", target})
