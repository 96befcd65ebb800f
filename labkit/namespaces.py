"""A namespace that a notebook can work in: its default service account may do what the course's workflows do.

The manifests name no service account, so Argo runs their pods as `default`; the Role below is what that account needs:
to report a step's outputs, and to make the TFJobs, Deployments and Services that resource templates make.
"""

from __future__ import annotations

from typing import Any

from labkit import client

SYSTEM = "labkit-system"  # where an engine that has an artifact store keeps these:
STORE = {"secret": "artifact-store", "configmap": "artifact-repositories"}
EVERYTHING = ["create", "get", "list", "watch", "update", "patch", "delete"]
ROLE: dict[str, Any] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "course"},
    "rules": [
        {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]},
        {"apiGroups": ["argoproj.io"], "resources": ["workflows", "workflowtemplates"], "verbs": EVERYTHING},
        {"apiGroups": ["kubeflow.org"], "resources": ["tfjobs", "tfjobs/status"], "verbs": EVERYTHING},
        {"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": EVERYTHING},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": EVERYTHING},
        {
            "apiGroups": [""],
            "resources": ["pods", "services", "endpoints", "configmaps", "persistentvolumeclaims"],
            "verbs": EVERYTHING,
        },
        {"apiGroups": [""], "resources": ["pods/log", "events"], "verbs": ["get", "list", "watch"]},
    ],
}
BINDING: dict[str, Any] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "course"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "course"},
    "subjects": [{"kind": "ServiceAccount", "name": "default"}],
}


def prepare(name: str) -> None:
    """Make the namespace `name`, if it isn't there, and give its default account the course's Role."""
    subjects = [subject | {"namespace": name} for subject in BINDING["subjects"]]
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    client.apply([ROLE, BINDING | {"subjects": subjects}, *artifact_store()], namespace=name)


def artifact_store() -> list[dict[str, Any]]:
    """What a namespace needs for its workflows' artifacts where they are kept in a store: its key, and where it is. Nothing
    where the cluster keeps artifacts by itself."""
    found = [client.get(kind, name, namespace=SYSTEM) for kind, name in STORE.items()]
    kept = ("apiVersion", "kind", "type", "data")
    return [
        {key: thing[key] for key in kept if key in thing}
        | {"metadata": {"name": thing["metadata"]["name"], "annotations": _annotations(thing)}}
        for thing in found
        if thing
    ]


def _annotations(thing: dict[str, Any]) -> dict[str, str]:
    own = thing["metadata"].get("annotations") or {}
    return {key: value for key, value in own.items() if key.startswith("workflows.argoproj.io/")}
