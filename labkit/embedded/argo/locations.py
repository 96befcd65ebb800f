"""Paths and secrets of one task: main's files on this host, the repository's folder, the keys of a bucket."""

from __future__ import annotations

import base64
import os
from pathlib import Path, PurePosixPath
from typing import Any

from labkit.embedded.argo import calls
from labkit.embedded.argo.artifacts import Secret
from labkit.embedded.argo.task import MAIN, Task, TaskError
from labkit.embedded.resources import SECRETS

Object = dict[str, Any]

LINKS = 40  # symbolic links followed in one path, as Linux does


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


def main_path(task: Task, path: str) -> Path:
    """Where main's `path` lies on this host, its symbolic links followed as main would follow them: an absolute link
    means main's root, not the host's."""
    left, here = list(PurePosixPath("/" + path.lstrip("/")).parts[1:]), PurePosixPath("/")
    followed = 0
    while left:
        part = left.pop(0)
        if part == "..":
            here = here.parent
            continue
        here = here / part
        host = task.files.path(MAIN, str(here))
        if host.is_symlink():
            followed += 1
            if followed > LINKS:
                raise TaskError(f"{path}: too many levels of symbolic links")
            target = PurePosixPath(os.readlink(host))
            here = PurePosixPath("/") if target.is_absolute() else here.parent
            left[:0] = [p for p in target.parts if p != "/"]
    return task.files.path(MAIN, str(here))


def folder(task: Task) -> Path:
    """The folder of the default repository for the task's namespace."""
    return task.files.home / "artifacts" / task.namespace


def scratch(task: Task) -> Path:
    """Room for temporary files: the executor's own /tmp, which goes with the pod."""
    return task.files.path(task.container, "/tmp")


def secret_reader(task: Task) -> Secret:
    """Reads a Secret of the namespace: from its mount below /argo/secret, as Argo's executor, else through the API."""

    async def read(name: str, key: str) -> str:
        mounted = task.files.path(task.container, f"/argo/secret/{name}/{key}")
        if mounted.is_file():
            return mounted.read_text()
        secret = await calls.call(task.files.api, "GET", SECRETS.path(task.namespace, name))
        return secret_value(secret, key)

    return read


def secret_value(secret: Object, key: str) -> str:
    """One value of a Secret, decoded."""
    value = (secret.get("data") or {}).get(key)
    if value is None:
        raise TaskError(f"secret '{secret['metadata']['name']}' does not have the key '{key}'")
    return base64.b64decode(value).decode()
