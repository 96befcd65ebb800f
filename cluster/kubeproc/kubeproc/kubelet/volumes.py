"""A pod's volumes: folders on the host, and where they appear in the containers.

ConfigMaps, Secrets, projections and the downward API are written as a real kubelet writes them: the files of one version lie
in a folder named after the time, `..data` links to it, and each file name links into `..data`. An update swaps one link, so a
reader sees all the old files or all the new ones. Sizes are those of `du`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubeproc.kubelet import env
from kubeproc.kubelet.api_client import Api, Refused
from kubeproc.runtime.launch import Mount

Object = dict[str, Any]
Files = dict[str, tuple[bytes, int]]  # path in the volume -> content and mode
PROJECTED = ("configMap", "secret", "downwardAPI", "projected")
REFRESH = 0.8  # share of a token's life after which it is replaced
ROOT_CA = "kube-root-ca.crt"  # mounted by every pod, and never changed
_root_cas: dict[str, Object] = {}


class NotMounted(Exception):
    """A volume can't be set up; the message is that of the kubelet's event FailedMount. The kubelet tries again."""


@dataclass
class Volume:
    name: str
    path: Path
    source: str  # the key in the pod's spec: emptyDir, configMap, ...
    spec: Object
    refresh_at: float = float("inf")  # when its token must be replaced

    @property
    def read_only(self) -> bool:
        if self.source == "persistentVolumeClaim":
            return bool(self.spec.get("readOnly"))
        return self.source in PROJECTED


async def set_up(api: Api, home: Path, pod: Object, folder: Path) -> dict[str, Volume]:
    """Create the pod's volumes below `folder/volumes`; NotMounted if a source is missing."""
    out: dict[str, Volume] = {}
    for spec in pod["spec"].get("volumes") or ():
        source = next((k for k in spec if k != "name"), "emptyDir")
        volume = Volume(spec["name"], folder / "volumes" / spec["name"], source, spec.get(source) or {})
        if source == "persistentVolumeClaim":
            volume.path = await _claim(api, home, pod, volume)
        elif source == "emptyDir":
            volume.path.mkdir(parents=True, exist_ok=True)
            volume.path.chmod(0o777)
        elif source in PROJECTED:
            await write(api, pod, volume)
        else:
            raise NotMounted(f'volume "{volume.name}": {source} is not supported by the embedded cluster')
        out[volume.name] = volume
    return out


async def _claim(api: Api, home: Path, pod: Object, volume: Volume) -> Path:
    namespace, claim = pod["metadata"]["namespace"], volume.spec["claimName"]
    if await api.find(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}") is None:
        raise NotMounted(f'persistentvolumeclaim "{claim}" not found')
    path = (home / "volumes").resolve() / namespace / claim
    path.mkdir(parents=True, exist_ok=True)
    return path


async def write(api: Api, pod: Object, volume: Volume) -> None:
    """Update the files of a projected volume."""
    try:
        files = await _files(api, pod, volume, volume.source, volume.spec)
        for path in files:
            if path.startswith("/") or ".." in path.split("/"):
                raise env.ConfigError(f"{path} leads outside")
    except env.ConfigError as error:
        raise NotMounted(f'MountVolume.SetUp failed for volume "{volume.name}" : {error}') from error
    await asyncio.to_thread(swap, volume.path, files)


async def _files(api: Api, pod: Object, volume: Volume, source: str, spec: Object, mode: int | None = None) -> Files:
    mode = spec.get("defaultMode") or mode or 0o644
    namespace = pod["metadata"]["namespace"]
    readers: dict[str, Callable[[], Awaitable[Files]]] = {
        "configMap": lambda: _keys(api, namespace, "configmap", spec, mode, env.configmap_data),
        "secret": lambda: _keys(api, namespace, "secret", spec, mode, env.secret_data),
        "downwardAPI": lambda: _downward(pod, spec, mode),
        "serviceAccountToken": lambda: _token(api, pod, volume, spec, mode),
        "projected": lambda: _sources(api, pod, volume, spec, mode),
    }
    if source not in readers:
        raise env.ConfigError(f"{source} is not supported by the embedded cluster")
    return await readers[source]()


async def _sources(api: Api, pod: Object, volume: Volume, spec: Object, mode: int) -> Files:
    sources = [(key, inner or {}) for projection in spec.get("sources") or () for key, inner in projection.items()]
    found = await asyncio.gather(*(_files(api, pod, volume, key, inner, mode) for key, inner in sources))
    return {path: file for files in found for path, file in files.items()}


async def _keys(
    api: Api, namespace: str, word: str, spec: Object, mode: int, data: Callable[[Object], dict[str, bytes]]
) -> Files:
    name = spec.get("name") or spec.get("secretName", "")
    path = f"/api/v1/namespaces/{namespace}/{word}s/{name}"
    if name == ROOT_CA and path in _root_cas:
        obj: Object | None = _root_cas[path]
    else:
        obj = await api.find(path)
        if name == ROOT_CA and obj:
            _root_cas[path] = obj
    if obj is None:
        if spec.get("optional"):
            return {}
        raise env.ConfigError(f'{word} "{name}" not found')
    values = data(obj)
    if not spec.get("items"):
        return {key: (value, mode) for key, value in values.items()}
    out: Files = {}
    for item in spec["items"]:
        if item["key"] in values:
            out[item["path"]] = (values[item["key"]], item.get("mode") or mode)
        elif not spec.get("optional"):
            raise env.ConfigError(f"{word} references non-existent config key: {item['key']}")
    return out


async def _downward(pod: Object, spec: Object, mode: int) -> Files:
    out: Files = {}
    for item in spec.get("items") or ():
        if ref := item.get("fieldRef"):
            text = env.field_value(pod, ref["fieldPath"])
        else:
            ref = item["resourceFieldRef"]
            owner = next(c for c in env.all_containers(pod) if c["name"] == ref["containerName"])
            text = env.resource_value(owner, ref, {})
        out[item["path"]] = (text.encode(), item.get("mode") or mode)
    return out


async def _token(api: Api, pod: Object, volume: Volume, spec: Object, mode: int) -> Files:
    meta, account = pod["metadata"], pod["spec"].get("serviceAccountName") or "default"
    seconds = spec.get("expirationSeconds") or 3600
    bound = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": {},
        "spec": {
            "audiences": [spec["audience"]] if spec.get("audience") else [],
            "expirationSeconds": seconds,
            "boundObjectRef": bound,
        },
    }
    path = f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/{account}/token"
    try:
        answer = await api.create(path, request)
    except Refused as error:
        raise env.ConfigError(f"failed to fetch token: {error}") from error
    volume.refresh_at = min(volume.refresh_at, time.time() + seconds * REFRESH)
    return {spec["path"]: (answer["status"]["token"].encode(), mode)}


def swap(folder: Path, files: Files) -> None:
    """Replace the files of a projected volume, all at once."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "..data"
    if link.exists() and content(link.resolve()) == files:
        return
    fresh = folder / f"..{time.strftime('%Y_%m_%d_%H_%M_%S')}.{time.time_ns() % 10**9}"
    for path, (data, mode) in files.items():
        file = fresh / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(mode)
    fresh.mkdir(exist_ok=True)
    before = link.resolve() if link.exists() else None
    (folder / "..data_tmp").unlink(missing_ok=True)  # left by a process that was killed here
    os.symlink(fresh.name, folder / "..data_tmp")
    os.replace(folder / "..data_tmp", link)
    tops = {path.split("/")[0] for path in files}
    for top in tops:
        if not (folder / top).is_symlink():
            os.symlink(f"..data/{top}", folder / top)
    for entry in folder.iterdir():
        if not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
    if before:
        shutil.rmtree(before, ignore_errors=True)


def content(folder: Path) -> Files:
    """The files below a folder."""
    found = [file for file in folder.rglob("*") if file.is_file()]
    return {str(f.relative_to(folder)): (f.read_bytes(), f.stat().st_mode & 0o7777) for f in found}


def _sources_of(pod: Object, kind: str) -> list[Object]:
    """The volume sources of a kind (configMap, secret), including those in projections."""
    out = []
    for spec in pod["spec"].get("volumes") or ():
        for source in (spec, *((spec.get("projected") or {}).get("sources") or ())):
            if kind in source:
                out.append(source[kind] or {})
    return out


def shows(pod: Object, kind: str) -> bool:
    return bool(_sources_of(pod, kind))


def uses(pod: Object, kind: str, name: str) -> bool:
    """Whether a volume of the pod shows the ConfigMap or Secret (`kind` is configMap or secret) of that name."""
    return any(name in (source.get("name"), source.get("secretName")) for source in _sources_of(pod, kind))


def mounts(container: Object, volumes: dict[str, Volume], variables: dict[str, str]) -> tuple[Mount, ...]:
    """The mounts of the container's volumes; outer paths first."""
    out = []
    for mount in container.get("volumeMounts") or ():
        volume = volumes.get(mount["name"])
        if volume is None:
            raise env.ConfigError(f'cannot find volume "{mount["name"]}" to mount into container "{container["name"]}"')
        source = volume.path
        below = mount.get("subPath") or env.expand(mount.get("subPathExpr") or "", variables)
        if below:
            source = _below(volume, below)
        out.append(Mount(source, mount["mountPath"], bool(mount.get("readOnly")) or volume.read_only))
    return tuple(sorted(out, key=lambda m: m.target.count("/")))


def _below(volume: Volume, path: str) -> Path:
    """The folder or file that a subPath names, created if it is missing. ConfigError if it leads outside of the volume."""
    found = (volume.path / path).resolve()
    if not found.is_relative_to(volume.path.resolve()):
        raise env.ConfigError(f'failed to prepare subPath for volumeMount "{volume.name}": {path} leads outside')
    if not found.exists():
        if volume.source in PROJECTED:
            raise env.ConfigError(f'failed to prepare subPath for volumeMount "{volume.name}": no {path} in it')
        found.mkdir(parents=True)
    return found


def usage(path: Path) -> int:
    """The bytes that the files below `path` occupy."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                stat = os.lstat(os.path.join(folder, name))
                total += min(stat.st_size, stat.st_blocks * 512)
            except OSError:
                continue
    return total
