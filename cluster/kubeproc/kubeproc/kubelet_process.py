"""`python -m kubeproc.kubelet_process --home DIR [--ready-fd FD]`: the kubelet's process, which keeps the server alive.

It holds `run/kubelet.lock` while it lives, starts the server if none runs, restarts it when it dies, and writes a byte
to FD once the server answers and the node is registered. SIGTERM ends the pods, then the server, then itself.
"""

from __future__ import annotations

import asyncio
import sys

from kubeproc import process
from kubeproc.argo.executor.in_kubelet import InKubelet
from kubeproc.kubelet import daemon


def main(arguments: list[str] | None = None) -> int:
    parser = process.parser("kubelet_process", __doc__, "the cluster is up")
    chosen = parser.parse_args(arguments)
    return process.run(
        chosen.home, chosen.ready_fd, lambda folder: asyncio.run(daemon.run(folder, InKubelet(), chosen.ready_fd))
    )


if __name__ == "__main__":
    sys.exit(main())
