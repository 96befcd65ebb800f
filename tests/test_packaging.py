"""The lists of packages agree: pyproject.toml is the source, the locks and environment.yml follow."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
KUBEPROC = tomllib.loads((ROOT / "cluster/kubeproc/pyproject.toml").read_text())["project"]
OWN = "kubeproc=="  # of this repository, and in no lock


def pins(lines: list[str]) -> dict[str, str]:
    """`{name: version}` of `name==version[; marker]` lines."""
    found = [re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", line) for line in lines]
    return {m[1].lower().replace("_", "-"): m[2] for m in found if m}


def lock(name: str) -> list[str]:
    return (ROOT / name).read_text().splitlines()


LOCKS = ["requirements.txt", "requirements-dev.txt", "requirements-setup.txt"]
SETUP = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["setup"]


def test_kubeproc_needs_no_tensorflow_and_no_jupyter_and_is_of_the_version_that_labkit_names() -> None:
    import kubeproc

    assert not {"tensorflow", "tensorflow-cpu", "jupyterlab", "labkit"} & set(pins(KUBEPROC["dependencies"]))
    assert f"{OWN}{kubeproc.__version__}" in PROJECT["dependencies"]


def test_what_installs_the_locks_is_locked_itself() -> None:
    assert pins(SETUP) == pins(lock("requirements-setup.txt"))
    assert len(SETUP) == len(pins(SETUP))


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_direct_dependency_is_pinned_and_locked_at_that_version(name: str) -> None:
    wanted = (
        [d for d in PROJECT["dependencies"] if not d.startswith(OWN)]
        + KUBEPROC["dependencies"]
        + (PROJECT["optional-dependencies"]["dev"] if "dev" in name else [])
    )
    direct = pins(wanted)
    assert len(direct) == len(set(wanted)), "every dependency is pinned with ==, and at one version in both packages"
    locked = pins(lock(name))
    assert {k: locked.get(k) for k in direct} == direct


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_hashes_and_no_index_address(name: str) -> None:
    text = (ROOT / name).read_text()
    requirements = [line for line in text.splitlines() if re.match(r"[a-zA-Z0-9]", line)]
    assert all(line.endswith("\\") for line in requirements), "each requirement is followed by its hashes"
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text)


def test_the_development_lock_holds_the_same_versions_as_the_kits() -> None:
    kit, dev = pins(lock("requirements.txt")), pins(lock("requirements-dev.txt"))
    assert {k: dev.get(k) for k in kit} == kit


@pytest.mark.parametrize(
    ("goal", "locks"),
    [
        ("course", ["requirements.txt"]),
        ("lab", ["requirements.txt"]),
        ("test", ["requirements.txt", "requirements-dev.txt"]),
        ("lint", ["requirements.txt", "requirements-dev.txt"]),
    ],
)
def test_a_student_gets_no_development_tools(tmp_path: Path, goal: str, locks: list[str]) -> None:
    (tmp_path / "cluster/kubeproc").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "cluster/kubeproc/pyproject.toml", *LOCKS):
        shutil.copy(ROOT / name, tmp_path / name)
    said = subprocess.check_output(["make", "-n", "-C", str(tmp_path), goal], text=True)
    assert re.findall(r"\.ci/install (\S+)", said) == locks
    assert not {"pytest", "ruff", "mypy"} & set(pins(lock("requirements.txt")))


def test_conda_users_get_the_locked_versions() -> None:
    parts = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(p["pip"] for p in parts if isinstance(p, dict))
    assert "-r requirements.txt" in pip
    python = next(p for p in parts if isinstance(p, str) and p.startswith("python="))
    assert python.split("=")[1] in ("3.11", "3.12", "3.13")
