"""Who may do what: the owner's token in the cluster's kubeconfig, and the artifact store's key.

kind's own kubeconfig (a client certificate) stays beside it as `admin.kubeconfig`; nobody's ~/.kube/config is touched.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path

import yaml

from labkit.paths import ClusterFolder
from realkube.programs import Kube
from realkube.supply import operator_manifests

NAMESPACE = "labkit-system"


def admin(folder: ClusterFolder) -> Path:
    """kind's kubeconfig for the cluster."""
    return folder.root / "admin.kubeconfig"


def grant(folder: ClusterFolder, kube: Kube) -> None:
    """Make the owner's account and write the kubeconfig with its token (mode 0600)."""
    kube.apply(operator_manifests.own("access"))
    kube("wait", "-n", NAMESPACE, "secret/owner", "--for=jsonpath={.data.token}", "--timeout=60s")
    token = kube("get", "secret", "owner", "-n", NAMESPACE, "-o", "jsonpath={.data.token}")
    theirs = yaml.safe_load(admin(folder).read_text())
    name = folder.root.name
    write(
        folder.kubeconfig,
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": theirs["clusters"][0]["cluster"]}],
            "users": [{"name": name, "user": {"token": base64.b64decode(token).decode()}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
            "current-context": name,
        },
    )


def write(path: Path, content: object) -> None:
    """A private file, replaced in one step."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(yaml.safe_dump(content, sort_keys=False))
    new.replace(path)


def artifact_store(kube: Kube) -> None:
    """Start the artifact store, and let the workflows of the namespace `default` use it. Its key is drawn once and stays."""
    listed = json.loads(kube("get", "secrets", "-n", NAMESPACE, "-o", "json"))["items"]
    known = next((s for s in listed if s["metadata"]["name"] == "artifact-store"), None)
    key = {"accesskey": f"labkit{secrets.token_hex(8)}", "secretkey": secrets.token_hex(24)}
    data = known["data"] if known else {k: base64.b64encode(v.encode()).decode() for k, v in key.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "artifact-store"}, "data": data}
    things = list(yaml.safe_load_all(operator_manifests.own("artifacts")))
    repositories = next(thing for thing in things if thing["kind"] == "ConfigMap")
    here = repositories | {"metadata": repositories["metadata"] | {"namespace": "default"}}
    kube.apply(yaml.safe_dump(secret), "-n", NAMESPACE)
    kube.apply(yaml.safe_dump_all([secret, here]), "-n", "default")
    kube.apply(yaml.safe_dump_all(things))
