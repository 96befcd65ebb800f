"""`python -m kubeproc.warm --socket FD [--preload tensorflow,...] [--namespaces root|user | --portable]`: a parent."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import socket
import sys
import time

from kubeproc.warm import linux
from kubeproc.warm.parent import Parent


def main() -> None:
    options = arguments()
    sock = socket.socket(fileno=options.socket)
    os.set_inheritable(options.socket, False)
    if linux.available and not options.portable:
        linux.adopt_orphans()
        if options.namespaces:
            linux.rule_descendants(options.namespaces == "user", options.starter, options.users)
    sys.path[:1] = []  # the working folder must not be importable
    loaded = {name: load(name) for name in options.preload.split(",") if name}
    if loaded:
        load("kubeproc.warm.python")  # children run in it
    gc.collect()
    gc.freeze()
    if loaded and linux.available and not options.portable:
        linux.release_file_pages()
    Parent(sock, loaded).run()
    os._exit(0)  # nothing to finalize, and no exit handler of a preloaded module may run here


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kubeproc.warm", description="Forks programs on request.")
    parser.add_argument("--socket", type=int, required=True, help="descriptor of a connected unix socket")
    parser.add_argument("--preload", default="", help="modules to import first, separated by commas")
    parser.add_argument(
        "--starter", type=int, default=0, help="pid whose end is this parent's, at once (with namespaces)"
    )
    parser.add_argument(
        "--namespaces", choices=("root", "user"), help="make namespaces, by right or in a user namespace"
    )
    parser.add_argument("--users", type=int, help="descriptor of the user namespace to join, instead of a new one")
    parser.add_argument("--portable", action="store_true", help="do without what only Linux has")
    return parser.parse_args()


def load(name: str) -> float | str:
    """Import a module. Returns the seconds that it took, or why it can't be imported."""
    start = time.perf_counter()
    try:
        importlib.import_module(name)
    except ImportError as error:
        return str(error)
    return round(time.perf_counter() - start, 3)


if __name__ == "__main__":
    main()
