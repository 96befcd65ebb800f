"""`labkit lab`: JupyterLab with the cluster up and the notebooks in a work folder.

The work folder is the student's: notebooks are put there once, without their solutions, and never overwritten.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from labkit import cluster, namespaces, paths, terminal
from labkit.errors import LabError
from labkit.grading.release import student_version
from labkit.runner.swift import nbformat

SOURCES = ("notebooks", "workflows")
FIRST = "notebooks/00_setup.ipynb"  # what is open when JupyterLab is, beside the file browser
TRIES = 50  # ports
KEPT = ("KUBECONFIG", "LABKIT_CLUSTER", "LABKIT_HOME")  # what a terminal has, whatever the user's profile says
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

    LabError where the folder can't be written or the cluster can't be started. The cluster goes on when JupyterLab ends.
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
        "JUPYTER_PATH": os.pathsep.join(filter(None, [str(kernels()), os.environ.get("JUPYTER_PATH")])),
    }
    # JupyterLab's terminals open where it was started, or in a folder below that has the name of the one in sight.
    os.chdir(folder)
    atexit._run_exitfuncs()  # an exec skips them: the official client deletes the certificate that it wrote to a file
    # Jupyter gets the terminal's signals itself: Ctrl-C asks, and ends its kernels.
    os.execve(sys.executable, command(folder, port, browser, shell(environment)), environment)


def free(port: int) -> int:
    """The port, or the next one that nobody listens at; a line says so if it is another one. LabError where none is free."""
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


def kernels() -> Path:
    """A data folder of Jupyter's with the kernel that notebooks start: that of a run, and before any of that name which the
    user may have installed."""
    from ipykernel.kernelspec import write_kernel_spec

    from labkit.runner.kernels import command as kernel

    folder = paths.home() / "jupyter" / "data"
    spec = folder / "kernels" / "python3"
    shutil.rmtree(spec, ignore_errors=True)
    write_kernel_spec(spec, {"argv": kernel("{connection_file}")})
    return folder


def shell(environment: Mapping[str, str]) -> list[str]:
    """The command of JupyterLab's terminals: the user's shell, with `labkit` and `kubectl` on its PATH, on this cluster."""
    kept = {name: environment[name] for name in KEPT if name in environment}
    own = environment.get("SHELL", "")
    return terminal.command(own, paths.home() / "jupyter" / "shell", str(Path(sys.executable).parent), kept)


def command(folder: Path, port: int, browser: bool, shell: list[str]) -> list[str]:
    """JupyterLab's command line: loopback only, and it asks the network for nothing (news, updates, extensions). What lies
    in the work folder is not imported by it (-P), whatever its name is."""
    return [
        sys.executable,
        "-P",
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={folder}",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.log_level=WARN",
        f"--ServerApp.terminado_settings={ {'shell_command': shell} }",
        f"--LabApp.default_url=/lab/tree/{FIRST}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
        "--LanguageServerManager.autodetect=False",
        *([] if browser else ["--no-browser"]),
        *(["--allow-root"] if os.getuid() == 0 else []),
    ]
