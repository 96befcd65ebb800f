"""A namespace that a notebook can work in: its default service account may do what the course's workflows do.

The manifests name no service account, so Argo runs their pods as `default`. What that may do is written in one place,
workflows/access.yaml, whoever applies it: kubectl by hand, `labkit run`, `labkit lab`, or the engine `existing`.
"""

from __future__ import annotations

from typing import Any

from labkit import client, paths

SYSTEM = "labkit-system"  # where an engine that has an artifact store keeps these:
STORE = {"secret": "artifact-store", "configmap": "artifact-repositories"}


def prepare(name: str) -> None:
    """Make the namespace `name`, if it isn't there, and give its default account the Role of the workflows' steps."""
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    client.apply(paths.kit() / "workflows" / "access.yaml", namespace=name)
    if store := artifact_store():
        client.apply(store, namespace=name)


def ready() -> str:
    """The namespace of this process; it is prepared unless `labkit run`, `labkit lab` or an instructor has done so.

    A user who may not read the namespace's roles may not create any either, and works with those that exist.
    """
    from kubernetes.client import ApiException, RbacAuthorizationV1Api

    name = client.namespace()
    try:
        found = RbacAuthorizationV1Api(client.api()).list_namespaced_role_binding(name).items
    except ApiException as error:
        if error.status == 403:
            return name
        raise
    if not any(subject.name == "default" for binding in found for subject in binding.subjects or []):
        prepare(name)
    return name


def artifact_store() -> list[dict[str, Any]]:
    """The objects that a namespace needs to use the cluster's artifact store: its key and its address. Empty where the cluster
    keeps artifacts itself."""
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
