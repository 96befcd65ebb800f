"""The work of the init container: place input artifacts and the script's source where main expects them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import httpx

from kubeproc.argo.executor import archives, artifacts
from kubeproc.argo.executor.locations import folder, posix, scratch, secret_reader, writable
from kubeproc.argo.executor.task import MAIN, Task, TaskError

Object = dict[str, Any]

SCRIPT = "/argo/staging/script"


def stage_script(task: Task) -> None:
    """Write the source of a script template; main's command names the file."""
    script = task.template.get("script")
    if not script:
        return
    task.log(f"Loading script source to {SCRIPT}")
    path = writable(task, SCRIPT)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(task.files.translate(MAIN, script.get("source") or ""), encoding="utf-8", errors="surrogatepass")
    path.chmod(0o755)


async def load_artifacts(task: Task) -> None:
    """Place every input artifact of the template at its path in main."""
    for artifact in (task.template.get("inputs") or {}).get("artifacts") or []:
        task.log(f"Downloading artifact: {artifact['name']}")
        await _load(task, artifact)


async def _load(task: Task, artifact: Object) -> None:
    name = artifact["name"]
    supplied = any(artifact.get(kind) for kind in ("raw", "http", "s3", *artifacts.KINDS))
    if not supplied:
        if artifact.get("optional"):
            task.log(f"Ignoring optional artifact '{name}' which was not supplied", "warning")
            return
        raise TaskError(f"required artifact '{name}' not supplied", missing=True)
    target = writable(task, posix(artifact))
    target.parent.mkdir(parents=True, exist_ok=True)
    arriving = target.with_name(target.name + ".tmp")
    archives.remove(arriving)
    try:
        await _fetch(task, artifact, arriving)
    except (TaskError, OSError) as error:
        archives.remove(arriving)
        if artifact.get("optional") and getattr(error, "missing", False):
            task.log(f"Skipping optional input artifact that was not found: {name}")
            return
        raise TaskError(f"artifact {name} failed to load: {error}") from error
    try:
        await asyncio.to_thread(archives.unpack, arriving, target, artifact.get("archive"))
    except TaskError as error:
        raise TaskError(f"artifact {name} failed to load: {error}") from error
    _chmod(target, artifact)
    task.log(f"Successfully download file: {artifact['path']}")


async def _fetch(task: Task, artifact: Object, target: Path) -> None:
    if artifact.get("raw"):
        target.write_text(artifact["raw"].get("data", ""), encoding="utf-8", errors="surrogatepass")
        return
    if artifact.get("http"):
        await _get(artifact["http"], target)
        return
    located = artifacts.relocated(artifact, task.template.get("archiveLocation"))
    place = await artifacts.place(located, folder(task), scratch(task), secret_reader(task))
    await place.load(artifacts.key_of(located), target)


async def _get(source: Object, target: Path) -> None:
    headers = {h["name"]: h["value"] for h in source.get("headers") or []}
    url = source["url"]
    try:
        async with (
            httpx.AsyncClient(follow_redirects=True, timeout=60) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            if not response.is_success:
                failed = f"loading file from {url} failed with status {response.status_code}"
                raise TaskError(failed, missing=response.status_code == 404)
            with target.open("wb") as file:
                async for data in response.aiter_bytes(artifacts.CHUNK):
                    file.write(data)
    except httpx.HTTPError as error:
        raise TaskError(f'Get "{url}": {error or type(error).__name__}') from error


def _chmod(path: Path, artifact: Object) -> None:
    """Give the artifact its mode. Links are skipped: their targets differ here from those in the container."""
    mode = artifact.get("mode")
    if mode is None or path.is_symlink():
        return
    os.chmod(path, mode)
    if artifact.get("recurseMode") and path.is_dir():
        for inner, folders, files in os.walk(path):
            for entry in (Path(inner) / name for name in (*folders, *files)):
                if not entry.is_symlink():
                    os.chmod(entry, mode)
