"""Artifacts as one file: tar.gz (Argo's default), zip, or unpacked; archived and extracted without loading them into
memory.

A single file or folder in an archive gets the name from the artifact's path; several entries become a folder. Unsafe
entries (outside the folder, devices) are rejected by tarfile's `data` filter and by `_inside`.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from kubeproc.argo.executor.task import TaskError

Strategy = dict[str, Any]  # an `archive` of the spec: {"none": {}}, {"tar": {"compressionLevel": n}}, {"zip": {}}
LEVEL = 6  # gzip level, Go's default
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error)


def remove(path: Path) -> None:
    """Remove a file or folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def suffix(strategy: Strategy | None) -> str:
    """The suffix of an artifact's file name: none if it is not packed."""
    if strategy and strategy.get("none") is not None:
        return ""
    return ".zip" if strategy and strategy.get("zip") is not None else ".tgz"


def pack(source: Path, target: Path, strategy: Strategy | None, name: str) -> None:
    """Pack the file or folder at `source` into `target`, with its name in the container."""
    if suffix(strategy) == ".zip":
        _zip(source, target, name)
        return
    level = ((strategy or {}).get("tar") or {}).get("compressionLevel")
    level = LEVEL if level is None else level
    with (
        gzip.open(target, "wb", compresslevel=LEVEL if level < 0 else level) as file,
        tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive,  # type: ignore[arg-type]
    ):
        archive.add(source, arcname=name, filter=_known)


def _known(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Skip sockets and pipes."""
    return entry if entry.isfile() or entry.isdir() or entry.issym() or entry.islnk() else None


def _zip(source: Path, target: Path, name: str) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        if not source.is_dir():
            archive.write(source, name)
            return
        for folder, folders, files in os.walk(source):
            inner = Path(name) / Path(folder).relative_to(source)
            for entry in files:
                path = Path(folder) / entry
                # a link may point outside the pod
                if path.is_file() and path.resolve().is_relative_to(source.resolve()):
                    archive.write(path, inner / entry)
            if not files and not folders:
                archive.mkdir(str(inner))


def is_tar(path: Path) -> bool:
    """Whether the file is a tar.gz, by its content."""
    if path.is_dir():
        return False
    try:
        with tarfile.open(path, "r:gz") as archive:
            return archive.next() is not None
    except (*DAMAGED, OSError):
        return False


def unpack(source: Path, target: Path, strategy: Strategy | None) -> None:
    """Move the downloaded `source` to `target`, extracted according to `strategy`, or if it is a tar.gz. The source is
    consumed. TaskError if the archive is damaged."""
    strategy = strategy or {}
    kind = next((k for k in ("none", "tar", "zip") if strategy.get(k) is not None), "")
    if kind == "none" or (not kind and not is_tar(source)):
        remove(target)
        os.rename(source, target)
        return
    folder = target.with_name(target.name + ".tmpdir")
    remove(folder)
    folder.mkdir()
    try:
        _unzip(source, folder) if kind == "zip" else _untar(source, folder)
    except DAMAGED as error:
        remove(folder)
        raise TaskError(f"the archive is damaged: {error}") from error
    source.unlink()
    remove(target)
    entries = list(folder.iterdir())
    if len(entries) == 1:
        os.rename(entries[0], target)
        folder.rmdir()
    else:
        os.rename(folder, target)


def _untar(source: Path, folder: Path) -> None:
    with tarfile.open(source, "r:*") as archive:
        archive.extractall(folder, filter="data")


def _unzip(source: Path, folder: Path) -> None:
    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist():
            if not (folder / entry.filename).resolve().is_relative_to(folder.resolve()):
                raise zipfile.BadZipFile(f"{entry.filename}: Illegal file path")
        archive.extractall(folder)
