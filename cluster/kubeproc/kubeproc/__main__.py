"""`python -m kubeproc up|status|down FOLDER`: a cluster without an embedder."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from kubeproc import engine
from kubeproc.errors import HintedError
from kubeproc.folder import ClusterFolder


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kubeproc", description="Kubernetes whose pods are processes.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start the cluster of FOLDER, and print its kubeconfig")
    up.add_argument("--port", type=int, help="the API's port on 127.0.0.1 (default: a free one)")
    up.add_argument("--nodes", type=int, help="how many nodes a new cluster has (default: 1)")
    up.add_argument("--network", choices=("pods", "shared"), help="whether pods have a network of their own")
    up.add_argument("--no-outside", action="store_true", help="such pods reach no other network")
    commands.add_parser("status", help="print what runs, as JSON")
    down = commands.add_parser("down", help="stop the cluster and keep its state")
    down.add_argument("--purge", action="store_true", help="delete the state as well")
    for command in commands.choices.values():
        command.add_argument("folder", type=Path, metavar="FOLDER", help="the cluster's folder, on a local disk")
    chosen = parser.parse_args(arguments)
    try:
        print(_run(chosen, ClusterFolder(chosen.folder.absolute())))
    except HintedError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _run(chosen: Any, folder: ClusterFolder) -> str:
    if chosen.command == "up":
        engine.up(folder, port=chosen.port, nodes=chosen.nodes, network=chosen.network, outside=not chosen.no_outside)
        return str(folder.kubeconfig)
    if chosen.command == "down":
        stopped = engine.down(folder, purge=chosen.purge)
        return "stopped" if stopped else "nothing to stop"
    return json.dumps(engine.status(folder), indent=1)


if __name__ == "__main__":
    sys.exit(main())
