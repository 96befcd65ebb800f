"""`tar cf - PATH` where paths are translated: its members keep the container's names, since `kubectl cp` checks them.

tar itself would write the host's names. Python's tarfile does the same work with the names given to it, on every system.
"""

from __future__ import annotations

import posixpath
import sys

from kubeproc.runtime.launch import Launch
from kubeproc.runtime.paths import host_path

CREATE = ["tar", "cf", "-"]
PROGRAM = """import os, sys, tarfile
host, name = sys.argv[1:]
if not os.path.lexists(host):
    sys.exit(f"tar: /{name}: Cannot stat: No such file or directory")
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
    archive.add(host, name)
"""


def argv(launch: Launch, words: list[str]) -> list[str]:
    """The command to run for `words`: a replacement for `tar cf - /ABSOLUTE/PATH`, else unchanged."""
    if words[:3] != CREATE or len(words) != 4 or not words[3].startswith("/"):
        return words
    name = posixpath.normpath(words[3]).lstrip("/")
    return [sys.executable, "-I", "-c", PROGRAM, str(host_path(launch, words[3])), name]
