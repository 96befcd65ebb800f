"""Gives programs the pod's service account where paths are translated.

Python programs find /var/run/secrets/kubernetes.io/serviceaccount through `runtime.startup`. kubectl and other programs read
a kubeconfig, which names the same files by their paths on the host.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from kubeproc.admission.pod import TOKEN_PATH
from kubeproc.runtime.launch import Mount

NAME = "pod"
KUBECONFIG = "/run/labkit/kubeconfig"


def variables(mounts: Iterable[Mount], root: Path, known: dict[str, str]) -> dict[str, str]:
    """KUBECONFIG, whose file is written into the container's root; nothing if the container has no token or a KUBECONFIG of
    its own."""
    found = next((mount.source for mount in mounts if mount.target.rstrip("/") == TOKEN_PATH), None)
    host, port = known.get("KUBERNETES_SERVICE_HOST"), known.get("KUBERNETES_SERVICE_PORT")
    if found is None or not host or not port or "KUBECONFIG" in known:
        return {}
    space = found / "namespace"
    context = {"cluster": NAME, "user": NAME, "namespace": space.read_text().strip() if space.exists() else "default"}
    server = {"server": f"https://{host}:{port}", "certificate-authority": str(found / "ca.crt")}
    path = root / KUBECONFIG[1:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": NAME, "cluster": server}],
                "users": [{"name": NAME, "user": {"tokenFile": str(found / "token")}}],
                "contexts": [{"name": NAME, "context": context}],
                "current-context": NAME,
            }
        )
    )
    return {"KUBECONFIG": KUBECONFIG}
