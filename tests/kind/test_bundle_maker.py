"""`labkit bundle create` with a Docker that is there, and a kit whose images are tiny: what is made, resumed, damaged, mended
and brought back into a Docker that lost it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from labkit import cli, cluster, doctor, paths
from labkit.errors import LabError
from realkube import programs
from realkube.kind import requirements
from realkube.supply import bundle_fit, docker_images, lab_image, versions
from realkube.supply.bundle import VARIABLE, Bundle

from .conftest import BUNDLE

pytestmark = pytest.mark.kind

PREFIX = "labkit-bund"  # of every image that is made here
ROLES = ("training-operator", "workflow-controller", "argoexec", "argocli", "busybox")
MINE = f"{PREFIX}/mine:1"  # stands for the image of the role argoexec
BASE = f"{PREFIX}/base:1"


def docker(*words: str, **options: object) -> str:
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True, timeout=120, **options).stdout  # type: ignore[call-overload, no-any-return]


def tiny(name: str, folder: Path) -> None:
    """An image with one file."""
    (folder / "name").write_text(name)
    subprocess.run(f"tar -C {folder} -c name | docker import - {name}", shell=True, check=True, capture_output=True)


def base(folder: Path) -> None:
    """An image whose python3 says what version it is; that is all that a lab image without packages asks of it."""
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin/python3"
    source = folder / "python3.c"
    busybox = shutil.which("busybox")
    if busybox:  # Debian's is static
        shutil.copy(busybox, folder / "bin/sh")
        program.write_text("#!/bin/sh\necho Python 3.11.9\n")
        program.chmod(0o755)
    elif shutil.which("gcc"):
        source.write_text('#include <stdio.h>\nint main() { puts("Python 3.11.9"); }\n')
        subprocess.run(["gcc", "-static", "-o", program, source], check=True)
    else:
        pytest.skip("needs a static busybox, or gcc, for an image of its own")
    subprocess.run(f"tar -C {folder} -c bin | docker import - {BASE}", shell=True, check=True, capture_output=True)


def small_kit(folder: Path) -> None:
    """The folder cluster/ of a kit of which everything is small."""
    (folder / "labkit-system").mkdir(parents=True)
    table = versions.table() | {
        "kubernetes": {"default": "1.34", "nodes": {"1.34": {"image": f"{PREFIX}/node:v1.34.0"}}},
        "images": {role: {"image": f"{PREFIX}/{role}:1"} for role in ROLES},
        "lab": {"base": {"image": BASE}},
    }
    for operator in table["operators"]:
        base = f"https://example.invalid/{operator}//manifests/small?ref=v1"
        table["operators"] = table["operators"] | {operator: {"version": "v1", "base": base}}
        (folder / operator).mkdir()
        (folder / operator / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [base]}))
        copy = folder.parent / "upstream" / operator / "manifests/small"
        copy.mkdir(parents=True)
        (copy / "kustomization.yaml").write_text("resources: [pod.yaml]\n")
        pod = {"containers": [{"name": "main", "image": f"{PREFIX}/argoexec:latest"}]}
        text = yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": operator}, "spec": pod})
        (copy / "pod.yaml").write_text(text)
    (folder / "versions.yaml").write_text(yaml.safe_dump(table))
    (folder / "packages.txt").write_text("# none\n")
    (folder / "slim.py").write_text("")
    (folder / "packages.Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nCOPY packages.txt /packages.txt\n")
    (folder / "Dockerfile").write_text("ARG PACKAGES\nFROM ${PACKAGES}\nCOPY labkit/ /opt/labkit/labkit/\n")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The small kit instead of this one, its images in Docker, and a program kind on the PATH; the folder of its upstreams."""
    folder = tmp_path_factory.mktemp("kit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_HOME", str(folder / "home"))
        patch.setenv("KERAS_HOME", str(folder / "keras"))
        data = folder / "keras/datasets/fashion-mnist"
        data.mkdir(parents=True)
        for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
            (data / f"{name}-ubyte.gz").write_text(name)
        try:
            programs.docker_info()
            bundle = Bundle.of(BUNDLE) if BUNDLE.is_dir() else None
            if bundle and (program := bundle.kind()):
                patch.setenv("PATH", str(program.parent), prepend=os.pathsep)
            requirements.programs.kind("")
        except LabError as error:
            warnings.warn(f"NO DOCKER OR NO KIND: {error.message}; creating a bundle is not tested", stacklevel=1)
            pytest.skip(error.message)
        small_kit(folder / "cluster")
        patch.setattr(versions, "FOLDER", folder / "cluster")
        patch.setattr(versions, "LAB", f"{PREFIX}/lab:1")
        versions.table.cache_clear()
        try:
            base(folder / "base")
            for role in (*(role for role in ROLES if role != "argoexec"), "mine"):
                tiny(f"{PREFIX}/{role}:1", folder)
            tiny(f"{PREFIX}/node:v1.34.0", folder)
            yield folder / "upstream"
        finally:
            left = [name for name in docker("images", "--format", "{{.Repository}}:{{.Tag}}").split() if PREFIX in name]
            with contextlib.suppress(subprocess.CalledProcessError):
                docker("rmi", *left, lab_image.packages_name())
    versions.table.cache_clear()


def create(kit: Path, folder: Path) -> int:
    words = ["bundle", "create", str(folder), "--no-wheels", "--image", "argoexec", MINE]
    for copy in sorted(kit.iterdir()):
        words += ["--upstream", copy.name, str(copy)]
    return cli.main(words)


@pytest.fixture(scope="module")
def whole(kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "whole"
    assert create(kit, folder) == 0
    return folder


@pytest.fixture
def stick(whole: Path, tmp_path: Path) -> Path:
    """A copy of the whole bundle."""
    return Path(shutil.copytree(whole, tmp_path / "stick"))


def written(folder: Path) -> dict[str, int]:
    """When each archive was written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "images").iterdir()}


def test_it_is_whole_and_fits_the_machine_and_kit_that_made_it(whole: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=whole, check=True)
    assert [finding.line()[:4] for finding in doctor.examine_bundle(str(whole))] == ["ok  "]
    bundle = Bundle.of(whole)
    assert bundle
    assert sorted(written(whole)) == sorted(f"{role}.tar.gz" for role in (*ROLES, "node", "base", "lab"))
    assert bundle.content["architecture"] == bundle_fit.machine()
    assert bundle.content["stand_ins"] == {"argoexec": MINE}
    assert bundle.content["images"]["argoexec"]["id"] == docker_images.image_id(MINE)
    assert bundle_fit.numbers(bundle.content["kind"]) >= (0, 30)
    assert f"image: {PREFIX}/argoexec:1" in bundle.manifest("argo-workflows"), "rendered with the tags of versions.yaml"
    assert [path.name for path in whole.rglob("*.part")] == []


def test_made_again_nothing_is_written_that_was_there(kit: Path, stick: Path) -> None:
    before = written(stick)
    assert create(kit, stick) == 0
    assert written(stick) == before


def test_a_damaged_archive_is_named_and_it_alone_is_made_again(kit: Path, stick: Path) -> None:
    before = written(stick)
    with (stick / "images/argocli.tar.gz").open("r+b") as archive:
        archive.seek(100)
        archive.write(b"damage")
    found = doctor.examine_bundle(str(stick))
    assert [("argocli.tar.gz is damaged" in f.found, f.ok) for f in found] == [(True, False)]
    bundle = Bundle.of(stick)
    assert bundle
    with pytest.raises(LabError, match=r"argocli\.tar\.gz is damaged"):
        bundle.load("argocli")
    assert create(kit, stick) == 0
    after = written(stick)
    assert {name for name in before if before[name] != after[name]} == {"argocli.tar.gz"}
    assert all(finding.ok for finding in doctor.examine_bundle(str(stick)))


def test_a_creation_that_was_cut_off_goes_on_where_it_was(
    kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The real Docker, which dies while it saves one of the images.
    (tmp_path / "bin").mkdir()
    dying = tmp_path / "bin/docker"
    real = shutil.which("docker")
    case = f"'save {PREFIX}/argocli:1') printf half; kill -9 $$;;"
    dying.write_text(f'#!/bin/sh\ncase "$*" in {case} esac\nexec {real} "$@"\n')
    dying.chmod(0o755)
    folder = tmp_path / "stick"
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(dying.parent), prepend=os.pathsep)
        assert create(kit, folder) == 1
    assert "docker save" in capsys.readouterr().err
    with pytest.raises(LabError, match="is not finished"):
        Bundle.of(folder)
    before = written(folder)
    assert "node.tar.gz" in before
    assert "argocli.tar.gz" not in before
    assert create(kit, folder) == 0
    after = written(folder)
    assert {name: after[name] for name in before if not name.endswith(".part")} == {
        name: time for name, time in before.items() if not name.endswith(".part")
    }
    assert all(finding.ok for finding in doctor.examine_bundle(str(folder)))


def test_a_docker_that_lost_an_image_gets_it_from_the_bundle(stick: Path) -> None:
    bundle = Bundle.of(stick)
    image = versions.images()["argocli"]
    was = docker_images.image_id(image.name)
    docker("rmi", image.name)
    assert docker_images.ensure(image, bundle) == image.name
    assert docker_images.image_id(image.name) == was


def test_a_docker_without_the_lab_image_gets_it_from_the_bundle_and_builds_nothing(stick: Path) -> None:
    was = docker_images.image_id(versions.LAB)
    docker("rmi", versions.LAB, lab_image.packages_name())
    docker_images.lab(Bundle.of(stick))
    assert docker_images.image_id(versions.LAB) == was
    assert not lab_image.stale()


def test_up_takes_the_node_image_and_kind_from_the_bundle_that_it_is_told(
    stick: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The image has nothing in it that could run, so that the creation ends there, and quickly.
    monkeypatch.delenv(VARIABLE, raising=False)
    (stick / "bin/kind").chmod(0o644)
    image = versions.node().name
    docker("rmi", image)
    words = ["up", "--engine", "kind", "--name", "bund", "--bundle", str(stick)]
    try:
        assert cli.main(words) == 1
        said = capsys.readouterr().err
        assert "node from the bundle" in said
        assert docker_images.image_id(image)
        (copy,) = (paths.home() / "bin").iterdir()
        assert copy.read_bytes() == (stick / "bin/kind").read_bytes()
        assert f"{copy.name} create cluster" in said
    finally:
        cluster.down("bund", purge=True)


def test_an_archive_that_holds_another_image_is_told(stick: Path) -> None:
    bundle = Bundle.of(stick)
    assert bundle
    files = bundle.content["files"]
    shutil.copy(stick / "images/argocli.tar.gz", stick / "images/busybox.tar.gz")
    files["images/busybox.tar.gz"] = files["images/argocli.tar.gz"]
    name = versions.images()["busybox"].name
    docker("tag", name, f"{PREFIX}/kept:1")
    docker("rmi", name)
    try:
        with pytest.raises(LabError, match=rf"busybox\.tar\.gz of the bundle {stick} holds no {name}"):
            docker_images.ensure(versions.images()["busybox"], bundle)
    finally:
        docker("tag", f"{PREFIX}/kept:1", name)


def test_an_image_that_docker_has_not_cannot_stand_for_another(
    kit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bundle", "create", str(tmp_path / "x"), "--image", "argocli", f"{PREFIX}/none:1"]) == 1
    assert f"Docker has no image {PREFIX}/none:1" in capsys.readouterr().err


def test_what_bundle_json_says_of_the_files_is_so(whole: Path) -> None:
    content = json.loads((whole / "bundle.json").read_text())
    there = {str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file()}
    assert there == set(content["files"]) | {"bundle.json", "SHA256SUMS"}
