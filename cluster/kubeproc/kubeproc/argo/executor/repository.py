"""A workflow's artifact repository: one that a ConfigMap configures, or the cluster's own folder.

Mechanism. As in Argo: `spec.artifactRepositoryRef`, else the namespace's ConfigMap `artifact-repositories` and the key
that its annotation names, else the cluster's default. The result is kept in the workflow's status, so that a later
change of the ConfigMap does not affect stored artifacts. Besides the default, a folder, only S3 is supported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubeproc.argo.executor.task import TaskError
from kubeproc.fields import workflow_fields

Object = dict[str, Any]

CONFIGMAP = "artifact-repositories"
DEFAULT_KEY = "workflows.argoproj.io/default-artifact-repository"
PATTERN = "{{workflow.name}}/{{pod.name}}"
DEFAULT: Object = {"default": True, "artifactRepository": {}}


def configmap_name(ref: Object | None) -> str:
    return (ref or {}).get("configMap") or CONFIGMAP


def resolve(find: Callable[[str], Object | None], ref: Object | None, namespace: str) -> Object:
    """The `status.artifactRepositoryRef` of a workflow whose spec has `ref` (or None). `find(name)` returns a ConfigMap
    of the namespace, or None. TaskError if the reference is dangling or its repository is not supported."""
    return choose(find(configmap_name(ref)), ref, namespace)


def choose(configmap: Object | None, ref: Object | None, namespace: str) -> Object:
    """`resolve`, given the ConfigMap."""
    name = configmap_name(ref)
    annotations = (configmap or {}).get("metadata", {}).get("annotations") or {}
    key = (ref or {}).get("key") or annotations.get(DEFAULT_KEY, "")
    text = ((configmap or {}).get("data") or {}).get(key)
    if text is None:
        if ref is None:
            return DEFAULT
        raise TaskError(f'failed to find any artifact repository for artifact repository ref "{name}#{key}"')
    return {"namespace": namespace, "configMap": name, "key": key, "artifactRepository": _parse(text, f"{name}#{key}")}


def _parse(text: str, where: str) -> Object:
    import yaml  # only if a repository is configured

    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise TaskError(
            f'error getting config map for artifact repository ref "{where}": failed to unmarshall config map key: {error}'
        ) from error
    if not isinstance(found, dict):
        raise TaskError(f'error getting config map for artifact repository ref "{where}": not a mapping')
    for kind in found.keys() - {"s3", "archiveLogs"}:
        raise TaskError(f'artifact repository ref "{where}": {kind} is not supported by the embedded cluster, s3 is')
    if refused := workflow_fields.refusal("S3Artifact", found.get("s3") or {}, "s3"):
        raise TaskError(f'artifact repository ref "{where}": {refused}')
    return found


def location(status: Object | None) -> Object | None:
    """The `archiveLocation` of the templates of a workflow with that `status.artifactRepositoryRef`; its key is still a
    template (`{{workflow.name}}/{{pod.name}}` by default). None means the cluster's folder and its default key."""
    repository = (status or {}).get("artifactRepository") or {}
    s3 = repository.get("s3")
    if not s3 and not repository.get("archiveLogs"):
        return None
    s3 = dict(s3 or {})
    prefix = s3.pop("keyPrefix", "")
    key = s3.pop("keyFormat", "") or (f"{prefix.rstrip('/')}/{PATTERN}" if prefix else PATTERN)
    found: Object = {"s3": s3 | {"key": key}}
    return found | ({"archiveLogs": True} if repository.get("archiveLogs") else {})
