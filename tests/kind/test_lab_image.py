"""The lab image: who its programs run as, and what a change of labkit costs. It is built under a name of its own here."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.errors import LabError
from realkube import programs
from realkube.supply import docker_images, lab_image, versions
from realkube.supply.bundle import Bundle

from .conftest import BUNDLE

pytestmark = pytest.mark.kind

NAME = "labkit-bund/lab:test"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """A program in a container of the image, as a pod would run it."""
    words = ["docker", "run", "--rm", "--network", "none", NAME, *command]
    return subprocess.run(words, capture_output=True, text=True, timeout=100)


def layers(name: str) -> list[str]:
    said = subprocess.check_output(["docker", "image", "inspect", "--format", "{{json .RootFS.Layers}}", name])
    return list(json.loads(said))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of labkit's package, of which the image is made, to be changed."""
    package = Path(shutil.copytree(lab_image.PACKAGE, tmp_path_factory.mktemp("source") / "labkit"))
    with pytest.MonkeyPatch.context() as patch:
        try:
            programs.docker_info()
            bundle = Bundle.of(BUNDLE if BUNDLE.is_dir() else None)
        except LabError as error:
            warnings.warn(f"NO DOCKER: {error.message}; the lab image is not tested", stacklevel=1)
            pytest.skip(error.message)
        patch.setattr(versions, "LAB", NAME)
        patch.setattr(lab_image, "PACKAGE", package)
        docker_images.lab(bundle)
        yield package
        subprocess.run(["docker", "rmi", NAME], capture_output=True, timeout=60)


def test_its_programs_are_not_root_and_cannot_change_what_is_installed(copy: Path) -> None:
    assert run("id", "-u").stdout.strip() == "1000"
    for place in ("/opt/labkit/labkit/new.py", "/opt/venv/new", "/usr/share/datasets/new"):
        done = run("touch", place)
        assert done.returncode != 0, place
        assert "Permission denied" in done.stderr
    assert run("touch", "/home/lab/new").returncode == 0, "its home is its own"


def test_it_has_this_labkit_its_packages_and_their_bytecode(copy: Path) -> None:
    code = "import os, labkit, numpy; print(labkit.__path__[0], *map(os.path.exists, (labkit.__cached__, numpy.__cached__)))"
    assert run("python3", "-c", code).stdout.split() == ["/opt/labkit/labkit", "True", "True"]


def test_a_changed_labkit_makes_it_stale_and_costs_the_last_layers_only(copy: Path) -> None:
    assert not lab_image.stale()
    packages, data = docker_images.image_id(lab_image.packages_name()), len(layers(NAME)) - 2
    before = layers(NAME)
    (copy / "errors.py").write_text((copy / "errors.py").read_text() + "\nCHANGED = 'yes'\n")
    assert lab_image.stale()
    docker_images.lab(None)  # no bundle: the packages are there
    assert not lab_image.stale()
    assert docker_images.image_id(lab_image.packages_name()) == packages
    assert layers(NAME)[:data] == before[:data], "base, packages and data are the layers that they were"
    assert layers(NAME)[data:] != before[data:]
    assert run("python3", "-c", "from labkit import errors; print(errors.CHANGED)").stdout.strip() == "yes"


def test_a_file_that_no_pod_reads_leaves_it_as_it_is(copy: Path) -> None:
    (copy / "notes.txt").write_text("for later")
    assert not lab_image.stale()
