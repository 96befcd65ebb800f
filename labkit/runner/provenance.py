"""What ran: versions, and hashes that show whether two runs used the same files.

A version says little about a kit that is being changed. So the report has a hash of labkit's own files, and the SHA-256 of
each file in `workflows/`, which its notebooks submit. The notebooks' own hashes are in their entries.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from labkit import __version__, paths

PACKAGES = ("tensorflow-cpu", "tensorflow", "kubernetes", "kubeflow-training", "argo-workflows", "kfp", "papermill")
WORKFLOWS = "workflows"


def versions() -> dict[str, str]:
    """The versions of labkit, Python, the platform, and the packages that matter."""
    found = {"labkit": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def hashes(notebooks: Iterable[Path] = ()) -> dict[str, str]:
    """`labkit` for the package, `workflows/NAME` for each of the kit's files there, and the whole path for each of another
    `workflows/` beside the notebooks' folder, where notebooks look for it."""
    kit = paths.kit() / WORKFLOWS
    others = {notebook.parent.parent / WORKFLOWS for notebook in notebooks} - {kit}
    found = {"labkit": of_package(Path(__file__).parents[1])}
    found |= {f"{WORKFLOWS}/{file.name}": sha256(file) for file in sorted(kit.glob("*.yaml"))}
    return found | {str(file): sha256(file) for folder in sorted(others) for file in sorted(folder.glob("*.yaml"))}


@cache
def of_package(folder: Path) -> str:
    """One hash of all its files, by their names in it and what is in them; without bytecode."""
    files = [f for f in sorted(folder.rglob("*")) if f.is_file() and "__pycache__" not in f.parts]
    lines = [f"{sha256(file)}  {file.relative_to(folder).as_posix()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def sha256(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "not a file"
    except OSError as error:
        return f"unreadable: {error.strerror}"
