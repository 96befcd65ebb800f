"""Files by URL: a local path, or anything fsspec can open (`s3://bucket/key`), behind the same few calls.

A file is there whole or not at all: on a disk it is written beside its place and renamed, an object store does the same
by itself. That is what makes a step of a pipeline safe to kill and to run again.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import fsspec

from labkit.errors import LabError


def is_local(url: str) -> bool:
    return "://" not in url or url.startswith("file://")


def local_path(url: str) -> Path:
    """The path that a local URL names."""
    return Path(url.removeprefix("file://"))


def join(url: str, *parts: str) -> str:
    return "/".join([url.rstrip("/"), *(part.strip("/") for part in parts)])


def _open(url: str, mode: str) -> Any:
    return fsspec.open(url, mode).open()


def read_bytes(url: str) -> bytes:
    """The file's content; `LabError` naming the file if it cannot be read."""
    try:
        with _open(url, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise LabError(f"{url} is missing", "check the URL, or run the step that writes it") from None
    except OSError as error:
        raise LabError(f"{url} cannot be read: {error}", "check the URL and who may read it") from error


def write_bytes(url: str, content: bytes) -> None:
    """Write the file whole: a reader sees the old content or the new one."""
    if not is_local(url):
        with _open(url, "wb") as file:
            file.write(content)
        return
    path = local_path(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def exists(url: str) -> bool:
    if is_local(url):
        return local_path(url).exists()
    filesystem, path = fsspec.core.url_to_fs(url)
    return bool(filesystem.exists(path))


def read_json(url: str) -> Any:
    content = read_bytes(url)
    try:
        return json.loads(content)
    except ValueError as error:
        raise LabError(f"{url} is not JSON: {error}", "it was damaged or is another file; write it again") from error


def write_json(url: str, value: Any) -> None:
    write_bytes(url, (json.dumps(value, indent=2) + "\n").encode())


def upload(folder: Path, url: str) -> None:
    """Copy a local folder to a URL, file by file."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            write_bytes(join(url, path.relative_to(folder).as_posix()), path.read_bytes())


def download(url: str, folder: Path) -> None:
    """Copy all files below a URL into a local folder; nothing happens if there are none."""
    filesystem, root = fsspec.core.url_to_fs(url)
    if not filesystem.exists(root):
        return
    for name in filesystem.find(root):
        target = folder / name.removeprefix(root).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        with filesystem.open(name, "rb") as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)


def replace_folder(folder: Path, url: str) -> None:
    """Put a finished local folder at a URL in place of what stood there."""
    if not is_local(url):
        upload(folder, url)
        return
    target = local_path(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f".{target.name}.new")
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree(folder, staged)
    shutil.rmtree(target, ignore_errors=True)
    staged.rename(target)
