"""Wheels for another machine: what a lock file means there, and fetching it with this environment's pip; the kit's own.

pip evaluates a lock's markers for the Python that runs it, not for the platform that it downloads for. So the lines that
apply to the target are chosen here, and pip gets them without markers.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from labkit import paths
from labkit.errors import LabError
from realkube import programs
from realkube.supply.bundle import checksum

KIT = ("labkit", "cluster", "notebooks", "workflows", "pyproject.toml", "requirements.txt", "README.md", "LICENSE")
KUBEPROC = "cluster/kubeproc"
GLIBC = range(5, 37)  # minor versions of glibc 2 that wheels for Debian 12 may ask for


def environment(machine: str, python: str) -> dict[str, str]:
    """Marker values of Linux on `machine` with Python `python` (3.11.9)."""
    return {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "implementation_version": python,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }


def holding(lock: str, values: dict[str, str]) -> str:
    """The requirements of a lock that hold where the markers have these values, with their hashes, without markers."""
    from packaging.requirements import Requirement

    kept = []
    for block in re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^\s*#.*\n", "", lock, flags=re.M)):
        words = block.replace("\\\n", " ")
        wanted, *hashes = words.split(" --hash=")
        if not wanted.strip():
            continue
        requirement = Requirement(wanted.strip())
        if requirement.marker is None or requirement.marker.evaluate(values):
            lines = [f"{requirement.name}{requirement.specifier}", *(f"    --hash={h.strip()}" for h in hashes)]
            kept.append(" \\\n".join(lines))
    return "\n".join(kept) + "\n"


def download(requirements: str, into: Path, machine: str, python: str, only_wheels: bool = True) -> None:
    """Fetch what `requirements` (without markers) names, for Linux on `machine`, checked by hash; what is there already
    is not fetched again, and what is there and isn't named, or is damaged, is removed: pip would take it."""
    into.mkdir(parents=True, exist_ok=True)
    named = set(re.findall(r"--hash=sha256:(\w+)", requirements))
    for path in into.iterdir():
        if path.is_file() and checksum(path) not in named:
            path.unlink()
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC] + [f"manylinux2014_{machine}", f"linux_{machine}"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as lock:
        lock.write(requirements)
        lock.flush()
        command = [*pip(), "download", "--quiet", "--no-deps", "--require-hashes", "--requirement", lock.name]
        command += ["--dest", str(into), "--find-links", str(into), "--implementation", "cp"]
        command += ["--python-version", python]  # to the last number: some packages want 3.11.5
        command += ["--only-binary=:all:"] if only_wheels else []
        programs.run(command + [word for name in platforms for word in ("--platform", name)], timeout=3600)


def checkout() -> Path:
    """The kit's folder; LabError where that is an installation, from which no wheel can be made."""
    if not (paths.kit() / "pyproject.toml").is_file():
        raise LabError(
            f"{paths.kit()} is no checkout of the kit, which its wheel is made from",
            "run labkit from a clone of the kit (pip install -e .), or leave the wheels out: --no-wheels",
        )
    return paths.kit()


def of_kit(source: Path, into: Path) -> list[Path]:
    """The wheels of labkit and of kubeproc, made of the checkout `source`, in a copy of it: nothing that an earlier build left
    gets in."""
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="labkit-wheel-") as folder:
        copy, made = Path(folder) / "kit", Path(folder) / "made"
        copy.mkdir()
        for name in KIT:
            if (source / name).is_dir():
                shutil.copytree(source / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
            else:
                shutil.copy2(source / name, copy)
        command = [*pip(), "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        programs.run([*command, "--wheel-dir", str(made), str(copy), str(copy / KUBEPROC)], timeout=300)
        return [Path(shutil.copy2(wheel, into)) for wheel in sorted(made.glob("*.whl"))]


@cache
def pip() -> list[str]:
    """A pip: this environment's, or that of the Python that it was made from."""
    for python in (sys.executable, getattr(sys, "_base_executable", sys.executable)):
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True, timeout=60).returncode == 0:
            return [python, "-m", "pip", "--disable-pip-version-check"]
    raise LabError("there is no pip to download packages with", f"install it: {sys.executable} -m ensurepip")
