"""Paths and secrets of one task: main's files on this host, the repository's folder, the keys of a bucket."""

from __future__ import annotations

import base64
import os
from pathlib import Path, PurePosixPath
from typing import Any

from kubeproc.api_errors import not_found
from kubeproc.argo.executor.artifacts import Secret
from kubeproc.argo.executor.task import MAIN, Task, TaskError
from kubeproc.resources import SECRETS

Object = dict[str, Any]


def posix(artifact: Object) -> str:
    """The artifact's path in its container, without `..`."""
    path = artifact.get("path") or ""
    if not path:
        raise TaskError(f"Artifact '{artifact['name']}' did not specify a path")
    if ".." in PurePosixPath(path).parts:
        raise TaskError(
            f"Artifact '{artifact['name']}' attempted to use a path containing '..'. Directory traversal is not permitted"
        )
    return str(PurePosixPath(path))


def writable(task: Task, path: str) -> Path:
    """The host path of main's `path`, if it is writable: the image's files are shared by all pods."""
    found = task.files.path(MAIN, path)
    places = [os.path.realpath(task.files.home / part) for part in ("", "pods", "volumes")]  # the last two may be links
    if not any(Path(os.path.realpath(found)).is_relative_to(place) for place in places):
        raise TaskError(f"{path}: read-only file system (the image is read-only; choose a path of the pod)")
    return found


def folder(task: Task) -> Path:
    """The folder of the default repository for the task's namespace."""
    return task.files.home / "artifacts" / task.namespace


def scratch(task: Task) -> Path:
    """A folder for temporary files: the executor's own /tmp, which is deleted with the pod."""
    return task.files.path(task.container, "/tmp")


def secret_reader(task: Task) -> Secret:
    """Reads a Secret of the namespace: from its mount below /argo/secret, or as the kubelet would mount it."""

    async def read(name: str, key: str) -> str:
        mounted = task.files.path(task.container, f"/argo/secret/{name}/{key}")
        if mounted.is_file():
            return mounted.read_text()
        secret = await task.files.secret(name)
        if secret is None:
            raise not_found(SECRETS, name)
        return secret_value(secret, key)

    return read


def secret_value(secret: Object, key: str) -> str:
    """One value of a Secret, decoded."""
    value = (secret.get("data") or {}).get(key)
    if value is None:
        raise TaskError(f"secret '{secret['metadata']['name']}' does not have the key '{key}'")
    return base64.b64decode(value).decode()
