"""What a training says: one JSON object a line, on standard output and in a file that resumed runs add to."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from labkit.course.data import storage


class Metrics:
    """Records with the time (seconds since 1970) and the task's name. Without a URL they are only printed."""

    def __init__(self, url: str | None, task: str) -> None:
        self._url = url
        self._task = task
        self._local = url is not None and storage.is_local(url)
        self._lines: list[bytes] = []
        if url is not None and not self._local and storage.exists(url):
            self._lines = storage.read_bytes(url).splitlines(keepends=True)

    def record(self, event: str, **fields: Any) -> None:
        line = json.dumps({"event": event, "time": round(time.time(), 3), "task": self._task, **fields})
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        if self._url is None:
            return
        if self._local:
            path = storage.local_path(self._url)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(line + "\n")
        else:
            self._lines.append(line.encode() + b"\n")

    def flush(self) -> None:
        """An object store cannot append: the whole file is written, at checkpoints and at the end."""
        if self._url is not None and not self._local:
            storage.write_bytes(self._url, b"".join(self._lines))
