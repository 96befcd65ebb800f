"""Accounts that an administrator hands out: service accounts of a namespace, each a context of one kubeconfig."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from realkube.kind import access
from realkube.programs import Kube

Rule = dict[str, list[str]]
SPACE = "course"  # the namespace that they may work in


def hand_out(admin: Kube, path: Path, namespace: str, *names: str) -> Path:
    """A kubeconfig in `path` with a context for each account, which is made in the namespace; none has any rights."""
    config: dict[str, Any] = yaml.safe_load(admin.kubeconfig.read_text())
    inner = config["contexts"][0]["context"]
    users, contexts = [], []
    for name in names:
        admin("create", "serviceaccount", name, "-n", namespace)
        token = admin("create", "token", name, "-n", namespace, "--duration=4h").strip()
        users.append({"name": name, "user": {"token": token}})
        context = {"cluster": inner["cluster"], "user": name, "namespace": namespace}
        contexts.append({"name": name, "context": context})
    config |= {"users": users, "contexts": contexts, "current-context": names[0]}
    access.write(path, config)
    return path


def allow(admin: Kube, namespace: str, name: str, rules: list[Rule], of: str = "") -> None:
    """Give the account, of the same namespace or of `of`, these rules in the namespace, and no others by this way."""
    meta = {"name": f"may-{name}"}
    api = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": meta, "rules": rules}
    binding = {"apiVersion": f"{api}/v1", "kind": "RoleBinding", "metadata": meta}
    binding |= {"roleRef": {"apiGroup": api, "kind": "Role", "name": meta["name"]}}
    binding |= {"subjects": [{"kind": "ServiceAccount", "name": name, "namespace": of or namespace}]}
    admin.apply(yaml.safe_dump_all([role, binding]), "-n", namespace)
