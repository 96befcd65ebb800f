"""What the server's and the kubelet's processes have in common: their options, their log, and how they report an error."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from kubeproc import embedder, info, ready
from kubeproc.errors import HintedError
from kubeproc.folder import ClusterFolder


def parser(name: str, description: str | None, ready_when: str) -> argparse.ArgumentParser:
    """The options of every process of a cluster; `ready_when` says when it writes to --ready-fd."""
    made = argparse.ArgumentParser(prog=f"python -m kubeproc.{name}", description=description)
    made.add_argument("--home", type=Path, required=True, help="the cluster's folder")
    made.add_argument("--ready-fd", type=int, help=f"where to write a byte once {ready_when}")
    return made


def run(home: Path, ready_fd: int | None, work: Callable[[ClusterFolder], None]) -> int:
    """Do the work of a process in the cluster's folder, for the program that embeds the cluster. Returns the exit code; a
    HintedError goes to the reader of the pipe and to stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    folder = ClusterFolder(home.resolve())
    try:
        embedder.use(embedder.restored(info.read(folder)))
        work(folder)
    except HintedError as error:
        ready.fail(ready_fd, error)
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
