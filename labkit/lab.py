"""`labkit lab`: JupyterLab with the cluster up and the notebooks in a work folder.

The work folder is the student's: notebooks are put there once, without their solutions, and never overwritten.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from pathlib import Path

from labkit import cluster, namespaces, paths
from labkit.errors import LabError
from labkit.grading.release import student_version
from labkit.runner.swift import nbformat

SOURCES = ("notebooks", "workflows")
FIRST = "notebooks/00_setup.ipynb"  # what is open when JupyterLab is, beside the file browser
TRIES = 50  # ports
SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}


def course() -> Path:
    """The kit's folder: where notebooks/ and workflows/ are."""
    if not (paths.kit() / "notebooks").is_dir():
        raise LabError("the course's notebooks are not here", "pip install . in a checkout of the kit")
    return paths.kit()


def fill(folder: Path) -> list[Path]:
    """Put into `folder` what it lacks of the course's files, notebooks as students get them; returns what is new."""
    copied = []
    for source in (p for part in SOURCES for p in sorted((course() / part).rglob("*"))):
        target = folder / source.relative_to(course())
        if source.is_dir() or target.exists() or any(p.startswith(".") for p in source.parts[-2:]):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        _hand_out(source, target)
        copied.append(target)
    return copied


def _hand_out(source: Path, target: Path) -> None:
    if source.suffix != ".ipynb":
        shutil.copyfile(source, target)
        return
    notebook = student_version(nbformat.read(source, as_version=4))
    target.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def open(name: str = cluster.DEFAULT, *, directory: str | None = None, port: int = 8888, browser: bool = True) -> None:
    """Start the cluster, fill the work folder and become JupyterLab on 127.0.0.1: this process does not return.

    LabError where the folder can't be written or the cluster can't be had. The cluster goes on when JupyterLab ends.
    """
    folder = Path(directory or "~/labkit-work").expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        copied = fill(folder)
    except OSError as error:
        raise LabError(f"{folder} can't be written: {error.strerror}", "name another folder with --dir") from error
    with cluster.prewarmed():
        kubeconfig = cluster.use(name)
    namespaces.prepare("default")
    port = free(port)
    print(f"{folder}: {len(copied)} new files; cluster {name}: {kubeconfig}", flush=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    configuration = os.pathsep.join(filter(None, [str(settings()), os.environ.get("JUPYTER_CONFIG_PATH")]))
    environment = os.environ | {
        "LABKIT_CLUSTER": name,
        "LABKIT_HOME": str(paths.home()),
        "PATH": path,
        "JUPYTER_CONFIG_PATH": configuration,
    }
    # Jupyter gets the terminal's signals itself: Ctrl-C asks, and ends its kernels.
    os.execve(sys.executable, command(folder, port, browser), environment)


def free(port: int) -> int:
    """The port, or the next one that nobody listens at; it is said when that is another. LabError where none is free."""
    for candidate in range(port, port + TRIES):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", candidate))
            except (OSError, OverflowError):
                continue
        if candidate != port:
            print(f"port {port} is taken, by another JupyterLab perhaps: this one has {candidate}", flush=True)
        return candidate
    raise LabError(f"no port from {port} to {port + TRIES - 1} is free", "name another one with --port")


def settings() -> Path:
    """A configuration folder with the kit's defaults for JupyterLab's settings; the user's own win."""
    folder = paths.home() / "jupyter"
    (folder / "labconfig").mkdir(parents=True, exist_ok=True)
    (folder / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(SETTINGS))
    return folder


def command(folder: Path, port: int, browser: bool) -> list[str]:
    """JupyterLab's command line: loopback only, and it asks the network for nothing (news, updates, extensions)."""
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={folder}",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.log_level=WARN",
        f"--LabApp.default_url=/lab/tree/{FIRST}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
        "--LanguageServerManager.autodetect=False",
        *([] if browser else ["--no-browser"]),
        *(["--allow-root"] if os.getuid() == 0 else []),
    ]
