"""Imported by every Python that starts with this folder on its PYTHONPATH; then it imports the program's own
sitecustomize, if any."""

import os
import sys

import container_paths  # type: ignore[import-not-found]  # beside this file

container_paths.install(os.environ.get(container_paths.VARIABLE, ""))

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [path for path in sys.path if os.path.abspath(path) != here]
this = sys.modules.pop("sitecustomize")
try:
    import sitecustomize  # noqa: F401
except ImportError as error:
    sys.modules["sitecustomize"] = this  # the import in progress looks it up
    if error.name != "sitecustomize":
        raise
