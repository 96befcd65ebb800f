"""A bundle that was made for another machine, or by another kit, is refused at once and says what is other."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from labkit import __version__, cluster, doctor
from labkit.cli import main
from labkit.errors import LabError
from realkube.supply import bundle_fit, bundle_maker, docker_images, lab_image, operator_manifests, versions
from realkube.supply.bundle import Bundle
from realkube.supply.bundle_maker import _Maker


def fitting(folder: Path, **changes: object) -> Bundle:
    """A bundle as this kit makes it for this machine (its archives are empty), but for the changes."""
    maker = _Maker(folder)
    for name in operator_manifests.OPERATORS:
        maker.text(f"manifests/{name}.yaml", "")
    wanted = [versions.node(), *docker_images.wanted(), versions.base()]
    maker.content |= {
        "labkit": __version__,
        "created": "2026-01-01T00:00:00Z",
        "system": platform.system(),
        "architecture": bundle_fit.machine(),
        "kubernetes": versions.minor(None),
        "kind": versions.table()["kind"],
        "packages": lab_image.packages_name(),
        "stand_ins": {},
        "images": {image.role: {"image": image.name} for image in wanted} | {"lab": {"image": versions.LAB}},
    }
    maker.content |= changes
    return maker.finish()


def images_but(**others: str | None) -> dict[str, dict[str, str]]:
    """The images that this kit wants, some of them others or (None) not there."""
    wanted = {image.role: image.name for image in [versions.node(), *docker_images.wanted()]} | {"lab": versions.LAB}
    wanted |= {role.replace("_", "-"): name for role, name in others.items()}  # type: ignore[dict-item]
    return {role: {"image": name} for role, name in wanted.items() if name}


def test_a_bundle_of_this_kit_for_this_machine_fits(tmp_path: Path) -> None:
    bundle = fitting(tmp_path)
    assert list(bundle_fit.differences(bundle)) == []
    bundle_fit.check(bundle)
    assert [finding.line()[:4] for finding in doctor.examine_bundle(str(tmp_path))] == ["ok  "]


OTHER = "aarch64" if bundle_fit.machine() == "x86_64" else "x86_64"
OTHERS: dict[str, tuple[dict[str, object], str]] = {
    "architecture": ({"architecture": OTHER}, f"is for {platform.system()} on {OTHER}, this is"),
    "system": ({"system": "Plan9"}, "is for Plan9 on"),
    "kubernetes": ({"kubernetes": "1.29"}, "has Kubernetes 1.29, this kit supports 1.34 and 1.33"),
    "kind": ({"kind": "v0.9.0"}, f"its kind is v0.9.0, this kit was tried with {versions.table()['kind']}"),
    "tag": (
        {"images": images_but(argoexec="quay.io/argoproj/argoexec:v3.6.0")},
        f"image argoexec is quay.io/argoproj/argoexec:v3.6.0, this kit wants {versions.images()['argoexec'].name}",
    ),
    "role": ({"images": images_but(workflow_controller=None)}, "its image workflow-controller is missing"),
    "node": ({"images": images_but(node="kindest/node:v1.34.9")}, "its image node is kindest/node:v1.34.9"),
    "packages": ({"packages": "labkit/packages:000000000000"}, "the Python packages of another kit"),
    "manifests": ({"files": {}}, "has no manifests of argo-workflows"),
}


@pytest.fixture
def no_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Docker that has no image and doesn't answer, whatever this machine has."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text("#!/bin/sh\nexit 1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(docker.parent), prepend=":")


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_other_is_told_with_what_is_wanted_and_the_remedy(what: str, tmp_path: Path, no_images: None) -> None:
    changes, words = OTHERS[what]
    bundle = fitting(tmp_path / "stick", **changes)
    with pytest.raises(LabError, match="does not fit") as caught:
        bundle_fit.check(bundle)
    assert words in caught.value.message
    assert "labkit bundle create" in caught.value.hint
    whole, *others = doctor.examine_bundle(str(bundle.folder))
    assert whole.ok, "each file is as it was made"
    assert any(words in finding.found and not finding.ok and finding.remedy for finding in others)


def test_an_image_that_docker_has_already_is_not_asked_of_the_bundle(
    tmp_path: Path, no_images: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = fitting(tmp_path / "stick", images=images_but(argoexec=None))
    with pytest.raises(LabError, match="argoexec is missing"):
        bundle_fit.check(bundle)
    wanted = versions.images()["argoexec"].name
    (tmp_path / "bin/docker").write_text(f'#!/bin/sh\ncase "$*" in *{wanted}) echo sha256:1;; *) exit 1;; esac\n')
    bundle_fit.check(bundle)


def test_an_image_that_stands_for_the_nodes_may_have_any_name(tmp_path: Path) -> None:
    bundle_fit.check(fitting(tmp_path, images=images_but(node="mine:1"), stand_ins={"node": "mine:1"}))


def test_a_newer_kind_and_another_labkit_are_told_and_taken(tmp_path: Path) -> None:
    bundle = fitting(tmp_path, kind="v0.999.0", labkit="0.0.1")
    bundle_fit.check(bundle)
    findings = doctor.examine_bundle(str(tmp_path))
    assert [finding.line()[:4] for finding in findings] == ["ok  ", "note", "note"]
    assert "v0.999.0" in findings[1].found
    assert "labkit 0.0.1" in findings[2].found


def test_a_bundle_is_not_made_with_a_kind_that_it_would_be_refused_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "kind"
    program.write_text("#!/bin/sh\necho ${SAYS}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SAYS", "0.20.0")
    with pytest.raises(LabError, match=r"is v0\.20\.0, older than v") as caught:
        bundle_maker._kind()
    assert "go install sigs.k8s.io/kind@v" in caught.value.hint
    monkeypatch.setenv("SAYS", "0.999.0-alpha+1a2b")
    assert bundle_maker._kind() == (program, "v0.999.0-alpha+1a2b")


def test_all_that_is_other_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(LabError) as caught:
        bundle_fit.check(fitting(tmp_path, architecture=OTHER, kind="v0.9.0"))
    assert OTHER in caught.value.message
    assert "v0.9.0" in caught.value.message


@pytest.mark.parametrize("way", ["option", "variable"])
def test_up_refuses_a_bundle_for_another_machine_before_anything_is_made(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LABKIT_BUNDLE", raising=False)
    stick = str(fitting(tmp_path / "stick", architecture=OTHER).folder)
    words = ["up", "--engine", "kind", "--name", "other"]
    if way == "option":
        words += ["--bundle", stick]
    else:
        monkeypatch.setenv("LABKIT_BUNDLE", stick)
    assert main(words) == 1
    said = capsys.readouterr().err
    assert f"the bundle {stick} does not fit" in said
    assert OTHER in said
    assert cluster.status("other")["state"] == "absent"


def test_the_option_goes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = fitting(tmp_path / "one"), fitting(tmp_path / "two")
    monkeypatch.setenv("LABKIT_BUNDLE", str(one.folder))
    assert Bundle.of(None) == one
    assert Bundle.of(two.folder) == two
