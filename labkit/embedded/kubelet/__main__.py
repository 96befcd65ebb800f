"""`python -m labkit.embedded.kubelet --home DIR [--ready-fd FD]`: the kubelet's process, which keeps the server alive.

It holds `run/kubelet.lock` while it lives, starts the server where none runs and again when it dies, and writes a byte to
FD once the server answers and the node is registered. SIGTERM ends the pods, then the server, then itself.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from labkit.embedded import ready
from labkit.embedded.kubelet import daemon
from labkit.errors import LabError
from labkit.paths import ClusterFolder


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m labkit.embedded.kubelet", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the cluster's folder")
    parser.add_argument("--ready-fd", type=int, help="where to write a byte once the cluster is up")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(daemon.run(ClusterFolder(chosen.home.resolve()), chosen.ready_fd))
    except LabError as error:
        ready.fail(chosen.ready_fd, error)
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
