"""Wheels for other machines, fetched from a folder that stands where the index would be; and manifests from a copy."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest

import kubeproc
from labkit import __version__, cli, paths
from labkit.errors import LabError
from realkube.supply import operator_manifests, versions, wheels
from realkube.supply.bundle_maker import _Maker

MACHINES = ("x86_64", "aarch64")


def wheel(folder: Path, tag: str, name: str = "tiny", version: str = "1.0", text: str = "") -> Path:
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the package `tiny` for two machines, which is all that pip looks into."""
    folder = tmp_path / "index"
    folder.mkdir()
    for machine in MACHINES:
        wheel(folder, f"cp311-cp311-manylinux2014_{machine}", text=f"# {machine}")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def locked(*files: Path) -> str:
    hashes = [f"--hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    return " \\\n    ".join(["tiny==1.0", *hashes]) + "\n"


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_fetched_is_for_the_machine_that_was_named(machine: str, index: Path, tmp_path: Path) -> None:
    wheels.download(locked(*index.iterdir()), tmp_path / "got", machine, "3.11.9")
    assert [path.name for path in (tmp_path / "got").iterdir()] == [f"tiny-1.0-cp311-cp311-manylinux2014_{machine}.whl"]


def test_what_is_there_already_needs_no_index(index: Path, tmp_path: Path) -> None:
    lock = locked(*index.iterdir())
    wheels.download(lock, tmp_path / "got", "aarch64", "3.11.9")
    shutil.rmtree(index)
    index.mkdir()
    wheels.download(lock, tmp_path / "got", "aarch64", "3.11.9")
    with pytest.raises(LabError, match="tiny"):
        wheels.download(lock, tmp_path / "got", "x86_64", "3.11.9")


def test_a_damaged_wheel_is_fetched_again_and_one_that_the_lock_has_no_more_is_removed(
    index: Path, tmp_path: Path
) -> None:
    into = tmp_path / "got"
    wheels.download(locked(*index.iterdir()), into, "aarch64", "3.11.9")
    (got,) = into.iterdir()
    good = got.read_bytes()
    got.write_bytes(good[:-10])
    wheel(into, "cp311-cp311-manylinux2014_aarch64", version="1.1")
    wheels.download(locked(*index.iterdir()), into, "aarch64", "3.11.9")
    assert list(into.iterdir()) == [got]
    assert got.read_bytes() == good


def test_a_wheel_with_another_checksum_than_the_locks_is_refused(index: Path, tmp_path: Path) -> None:
    lock = locked(*index.iterdir())
    wheel(index, "cp311-cp311-manylinux2014_aarch64", text="# tampered")
    with pytest.raises(LabError, match=r"(?i)hash"):
        wheels.download(lock, tmp_path / "got", "aarch64", "3.11.9")
    assert list((tmp_path / "got").iterdir()) == []


def test_a_bundle_gets_the_wheels_of_the_machine_and_labkits_own(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = tmp_path / "kit"
    for name in wheels.KIT:
        source = paths.kit() / name
        shutil.copytree(source, kit / name) if source.is_dir() else shutil.copy(source, kit)
    here = wheels.environment("aarch64", "3.11.9")["platform_machine"]
    lock = locked(*index.iterdir()).replace("tiny==1.0", f"tiny==1.0 ; platform_machine == '{here}'", 1)
    (kit / "requirements.txt").write_text(lock + "absent==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n")
    monkeypatch.setattr(paths, "kit", lambda: kit)
    monkeypatch.setattr("platform.python_version", lambda: "3.11.9")
    into = tmp_path / "stick"
    maker = _Maker(into)
    maker.content |= {"files": {"wheels/tiny-0.9-none-any.whl": {"sha256": "", "size": 0}}}
    (into / "wheels").mkdir()
    wheel(into / "wheels", "py3-none-any", name="labkit", version="0.0.1")  # an earlier one
    maker.wheels("aarch64")
    names = sorted(path.name for path in (into / "wheels").iterdir())
    own = [f"kubeproc-{kubeproc.__version__}-py3-none-any.whl", f"labkit-{__version__}-py3-none-any.whl"]
    assert names == [*own, "tiny-1.0-cp311-cp311-manylinux2014_aarch64.whl"]
    assert sorted(maker.content["files"]) == [f"wheels/{name}" for name in names], "what is gone is not listed any more"
    assert maker.content["wheels"] == "aarch64"


def upstream(folder: Path) -> Path:
    """What stands for the Training Operator's repository."""
    base = folder / "manifests/overlays/standalone"
    base.mkdir(parents=True)
    (base / "kustomization.yaml").write_text("resources: [operator.yaml]\nnamespace: kubeflow\n")
    repository = versions.images()["training-operator"].name.rpartition(":")[0]
    (base / "operator.yaml").write_text(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: training-operator}, "
        f"spec: {{template: {{spec: {{containers: [{{name: operator, image: '{repository}:latest'}}]}}}}}}}}\n"
    )
    return folder


def test_manifests_are_rendered_from_a_copy_of_upstreams_repository_with_the_images_pinned(tmp_path: Path) -> None:
    text = operator_manifests.render("training-operator", upstream(tmp_path))
    assert f"image: {versions.images()['training-operator'].name}" in text
    assert "namespace: kubeflow" in text
    assert "latest" not in text


def test_a_folder_that_is_no_copy_of_the_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"is no copy of https://github\.com/kubeflow/training-operator") as caught:
        operator_manifests.render("training-operator", tmp_path)
    assert "manifests/overlays/standalone" in caught.value.hint


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--image", "argo", "x:1"], "there is no image argo"),
        (["--upstream", "argo", "/tmp"], "there is no operator argo"),
        (["--kubernetes", "1.29"], "1.29 is not supported"),
    ],
)
def test_a_role_operator_or_kubernetes_that_there_is_not_is_refused_before_anything_is_made(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bundle", "create", str(tmp_path / "stick"), *words]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "stick").exists()
