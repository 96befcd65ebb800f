"""`.ci/install`, which `make course` begins with: by uv or by pip, with hashes, with bytecode (the index is a folder)."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tiny_wheels import wheel

ROOT = Path(__file__).parents[1]
PROJECT = """
[build-system]
requires = []
build-backend = "builder"
backend-path = ["."]

[project]
name = "NAME"
version = "1"
"""
# Builds what `pip install -e .` asks for without anything that is not in Python.
BUILDER = """
import os, sys
sys.path.insert(0, {tests!r})
from tiny_wheels import wheel


def build_editable(folder, settings=None, metadata=None):
    return wheel(folder, {name!r}, "1", {{"{name}.pth": os.getcwd()}}).name
"""


class Checkout:
    """A kit of two modules whose lock names the package `tiny`; the index is a folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.index = root, root / "index"
        for folder in (".ci", "index"):
            (root / folder).mkdir(parents=True)
        shutil.copy(ROOT / ".ci" / "install", root / ".ci")
        shutil.copy(ROOT / "requirements-setup.txt", root)
        for folder, name in ((root, "labkit"), (root / "cluster" / "kubeproc", "kubeproc")):
            (folder / name).mkdir(parents=True)
            (folder / name / "__init__.py").touch()
            (folder / "pyproject.toml").write_text(PROJECT.replace("NAME", name))
            (folder / "builder.py").write_text(BUILDER.format(tests=str(ROOT / "tests"), name=name))

    def lock(self, version: str, *, right: bool = True) -> None:
        made = wheel(self.index, "tiny", version, {"tiny/__init__.py": f"version = {version!r}\n"})
        sha = hashlib.sha256(made.read_bytes() if right else b"other").hexdigest()
        (self.root / "requirements.txt").write_text(f"tiny=={version} \\\n    --hash=sha256:{sha}\n")

    def install(self, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
        names = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index), "UV_OFFLINE": "1", "UV_NO_INDEX": "1"}
        names |= {"UV_FIND_LINKS": str(self.index), "UV_CACHE_DIR": str(self.root / "cache"), "GOALS": "course"}
        names |= {"PYTHON": python, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [str(self.root / ".ci" / "install"), "requirements.txt"]
        return subprocess.run(command, env=os.environ | names, capture_output=True, text=True, timeout=200)

    def says(self, code: str) -> str:
        command = [str(self.root / ".venv" / "bin" / "python"), "-c", code]
        return subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout.strip()

    def compiled(self) -> bool:
        names = ("tiny", "labkit", "kubeproc")
        code = f"import importlib.util as u, os; print([os.path.exists(u.find_spec(n).cached) for n in {names}])"
        return self.says(code) == "[True, True, True]"


def test_without_uv_pip_installs_and_with_it_uv(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    checkout.lock("1.0")
    first = checkout.install()
    assert first.returncode == 0, first.stdout + first.stderr
    assert "installing the 1 packages of requirements.txt" in first.stdout
    assert "pip installs the packages" in first.stdout
    assert checkout.says("import tiny, labkit, kubeproc; print(tiny.version)") == "1.0"
    assert checkout.compiled()

    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        pytest.skip("this environment was set up without uv")
    (tmp_path / ".venv" / "bin" / "uv").symlink_to(uv)
    checkout.lock("1.1")
    second = checkout.install()
    assert second.returncode == 0, second.stdout + second.stderr
    assert "pip installs" not in second.stdout
    assert "making .venv" not in second.stdout
    assert "+ tiny==1.1" in second.stderr, "progress is shown"
    assert checkout.says("import tiny; print(tiny.version)") == "1.1"
    assert checkout.compiled()

    checkout.lock("1.2", right=False)
    assert checkout.install().returncode != 0, "neither takes what has another hash"
    assert checkout.says("import tiny; print(tiny.version)") == "1.1"


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    checkout.lock("1.0")
    refused = checkout.install(python="python3.99")
    assert refused.returncode != 0
    assert "python3.99" in refused.stderr
    assert "hint: make PYTHON=python3.11 course" in refused.stderr
    assert not (tmp_path / ".venv").exists()
