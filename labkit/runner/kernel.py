"""`python -m labkit.runner.kernel -f FILE`: ipykernel, in a process that may have imported matplotlib before it was forked.

Matplotlib reads MPLBACKEND when it is imported; here that was in the warm parent, so it is told again.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    backend = os.environ.get("MPLBACKEND")
    if backend and "matplotlib" in sys.modules:
        import matplotlib

        matplotlib.rcParams["backend"] = backend
    from ipykernel import kernelapp

    kernelapp.launch_new_instance()


if __name__ == "__main__":
    main()
