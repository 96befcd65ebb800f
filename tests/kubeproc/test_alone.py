"""kubeproc's wheel in an environment that has it and what it requires, and nothing else: a cluster starts and runs a pod."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from realkube.supply import wheels

ROOT = Path(__file__).parents[2]
KUBECTL = Path(sys.executable).with_name("kubectl")


def required(name: str, found: set[str]) -> set[str]:
    """The distributions that a distribution needs here, itself among them."""
    if name not in found:
        found.add(name)
        for text in metadata.requires(name) or []:
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                required(wanted.name.lower().replace("_", "-"), found)
    return found


def link(distribution: str, folder: Path) -> None:
    """Have what an installed distribution is made of in another folder of packages."""
    for file in metadata.files(distribution) or []:
        top = file.parts[0]
        if top not in ("..", "__pycache__") and not (folder / top).exists():
            (folder / top).symlink_to(Path(str(metadata.distribution(distribution).locate_file(top))))


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """The Python of such an environment."""
    wheel = next(path for path in wheels.of_kit(ROOT, tmp_path / "made") if path.name.startswith("kubeproc-"))
    venv.create(tmp_path / "alone", symlinks=True)
    python = tmp_path / "alone" / "bin" / "python"
    packages = next((tmp_path / "alone").glob("lib/python3*/site-packages"))
    for name in required("kubeproc", set()) - {"kubeproc"}:
        link(name, packages)
    command = [*wheels.pip(), "--python", str(python), "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    subprocess.run(command, check=True, timeout=100)
    return python


def test_a_cluster_starts_and_runs_a_pod(alone: Path, tmp_path: Path) -> None:
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    environment = kept | {"PATH": os.defpath}

    def kubeproc(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(alone), "-m", "kubeproc", *words, str(tmp_path / "cluster")]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=60)

    def kubectl(*words: str) -> str:
        command = [str(KUBECTL), "--kubeconfig", up.stdout.strip(), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    others = "import importlib.util as u; print([n for n in ('labkit', 'tensorflow', 'jupyterlab', 'numpy') if u.find_spec(n)])"
    said = subprocess.run(
        [str(alone), "-c", others], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=60
    )
    assert said.stdout == "[]\n"
    up = kubeproc("up")
    try:
        assert up.returncode == 0, up.stderr
        kubectl("run", "hello", "--image=busybox", "--restart=Never", "--", "echo", "hello")
        kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/hello", "--timeout=30s")
        assert kubectl("logs", "hello") == "hello\n"
        assert "a DAG" in kubectl("explain", "workflow.spec.templates.dag"), (
            "without the clients, which have these words too"
        )
        assert '"state": "running"' in kubeproc("status").stdout
    finally:
        down = kubeproc("down", "--purge")
    assert down.stdout == "stopped\n"
    assert not (tmp_path / "cluster").exists()
