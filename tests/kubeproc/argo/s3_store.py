"""An S3 server on loopback for tests, and how a repository in it is configured."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from argo_serving import free_port

from kubeproc.argo.executor import s3

S3 = """\
archiveLogs: true
s3: {endpoint: 'x:1', bucket: b, insecure: true, keyFormat: 'my/{{workflow.name}}',
     accessKeySecret: {name: s, key: a}, secretKeySecret: {name: s, key: b}}
"""


class S3Server:
    """rclone's own S3 server over a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        (folder / "bucket").mkdir(parents=True)
        command = [
            s3.rclone(),
            "serve",
            "s3",
            str(folder),
            "--addr",
            f"127.0.0.1:{self.port}",
            "--auth-key",
            "key,secret",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)  # it doesn't say when it listens
        raise AssertionError("rclone serve s3 doesn't listen")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
