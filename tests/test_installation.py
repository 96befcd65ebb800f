"""`pip install .`, not editable: an environment of its own in which nothing of the checkout is on the path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from realkube.supply import wheels

ROOT = Path(__file__).parent.parent
BESIDE = ("cluster", "notebooks", "workflows", "requirements.txt")  # the package, and needed by it


@dataclass(frozen=True)
class Installed:
    source: Path  # the checkout that it was made from
    wheels: list[Path]
    prefix: Path

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One of the environment's programs, in a folder where nothing is."""
        home = self.prefix / "home"
        home.mkdir(exist_ok=True)
        names = ("PYTHONPATH", "LABKIT_BUNDLE", "VIRTUAL_ENV")
        kept = {name: value for name, value in os.environ.items() if name not in names}
        kept |= {"LABKIT_HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        program, *words = command
        return subprocess.run(
            [str(self.prefix / "bin" / program), *words],
            env=kept | environment, cwd=home, capture_output=True, text=True, timeout=100,
        )  # fmt: skip

    def says(self, code: str, **environment: str) -> str:
        done = self.run("python", "-c", code, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel of this checkout in an environment that has this one's other packages."""
    folder = tmp_path_factory.mktemp("installed")
    made = wheels.of_kit(ROOT, folder)
    with zipfile.ZipFile(next(path for path in made if path.name.startswith("labkit-"))) as archive:
        inside = archive.namelist()
    source = folder / "source"
    for name in (name for name in inside if ".dist-info/" not in name):
        target = source / name.partition("/data/share/labkit/")[2] if ".data/data/" in name else source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        origin = target.relative_to(source)
        shutil.copyfile(ROOT / "cluster" / origin if origin.parts[0] == "realkube" else ROOT / origin, target)
    prefix = folder / "environment"
    venv.create(prefix, symlinks=True)
    python = prefix / "bin/python"
    command = [*wheels.pip(), "--python", str(python), "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*command, *map(str, made)], check=True, timeout=100)
    packages = next(prefix.glob("lib/python3*/site-packages"))
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(source, made, prefix)


def tracked(*paths: str) -> set[str]:
    """The checkout's files there, as git knows them."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    said = subprocess.check_output(["git", "ls-files", "--", *paths], cwd=ROOT, text=True)
    return {name for name in said.splitlines() if (ROOT / name).exists()}


def test_all_of_the_kit_that_it_needs_is_installed(installed: Installed) -> None:
    package = Path(installed.says("import labkit; print(labkit.__path__[0])"))
    kit = Path(installed.says("from labkit import paths; print(paths.kit())"))
    assert package.is_relative_to(installed.prefix)
    assert kit == installed.prefix / "share/labkit"
    kubeproc = {name.removeprefix(f"{wheels.KUBEPROC}/") for name in tracked(f"{wheels.KUBEPROC}/kubeproc")}
    realkube = {name.removeprefix("cluster/") for name in tracked("cluster/realkube")}
    beside = {name for name in tracked(*BESIDE) if not name.startswith((wheels.KUBEPROC, "cluster/realkube/"))}
    for folder, names in ((package.parent, tracked("labkit") | kubeproc | realkube), (kit, beside)):
        assert [name for name in sorted(names) if not (folder / name).is_file()] == []


def test_it_makes_the_same_lab_image_as_the_checkout(installed: Installed) -> None:
    code = "from realkube.supply import lab_image as i; print(i.packages_name(), i.source_hash(), i.PACKAGE)"
    here = installed.says(code)
    there = installed.says(code, PYTHONPATH=str(installed.source))
    assert there.endswith(str(installed.source / "labkit"))
    assert here.split()[:2] == there.split()[:2]


def test_the_engine_kind_gets_as_far_as_to_ask_for_docker(installed: Installed) -> None:
    nothing = str(installed.prefix / "bin")
    for words in (["up", "--engine", "kind", "--name", "real"], ["bundle", "create", "stick", "--no-wheels"]):
        done = installed.run("labkit", *words, PATH=nothing)
        assert "there is no docker on the PATH" in done.stderr
        assert done.returncode == 1


def test_a_bundle_with_wheels_is_made_in_a_checkout_only(installed: Installed) -> None:
    done = installed.run("labkit", "bundle", "create", "stick")
    assert "share/labkit is no checkout of the kit" in done.stderr
    assert "--no-wheels" in done.stderr


def test_a_student_gets_the_notebooks_and_workflows(installed: Installed) -> None:
    code = "import pathlib; from labkit import lab; print(*lab.fill(pathlib.Path('work')))"
    got = installed.says(code).split()
    assert {name.removeprefix("work/") for name in got} == tracked("notebooks/*.ipynb", "workflows/*.yaml")


def test_the_embedded_cluster_starts_and_stops(installed: Installed) -> None:
    try:
        up = installed.run("labkit", "up")
        assert up.returncode == 0, up.stderr
        assert "running" in installed.run("labkit", "status").stdout
    finally:
        down = installed.run("labkit", "down", "--purge")
    assert "stopped and deleted" in down.stdout
