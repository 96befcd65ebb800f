"""What a machine must have, and what it is told when it hasn't. No cluster is made here."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from labkit import cluster
from labkit.errors import LabError
from realkube import programs
from realkube.kind import requirements
from realkube.supply import versions


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LABKIT_BUNDLE", raising=False)
    return tmp_path / "home"


def test_without_docker_the_remedy_is_docker_or_the_embedded_cluster(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(LabError, match="no docker on the PATH") as caught:
        cluster.up("test-none", "kind")
    assert "get-docker" in caught.value.hint
    assert "labkit up" in caught.value.hint
    assert cluster.status("test-none")["state"] == "absent", "nothing was begun"


def test_a_docker_that_does_not_answer_is_to_be_started(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not requirements.programs.shutil.which("docker"):
        pytest.skip("needs Docker's client")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{home}/nobody-listens.sock")
    with pytest.raises(LabError) as caught:
        cluster.up("test-none", "kind")
    assert "start Docker" in caught.value.hint


def test_an_unknown_kubernetes_names_those_that_are_known() -> None:
    with pytest.raises(LabError, match=r"1\.29 is not supported") as caught:
        versions.node("1.29")
    assert "1.33" in caught.value.hint
    assert "1.34" in caught.value.hint


@pytest.mark.parametrize("asked", ["1.33", "v1.33", "1.33.4", "v1.33.4"])
def test_a_kubernetes_may_be_named_in_each_usual_way(asked: str) -> None:
    assert versions.node(asked).name == "kindest/node:v1.33.4"
    assert versions.node(asked).pull.startswith("kindest/node@sha256:")


def test_too_little_memory_or_disk_is_told_with_the_numbers() -> None:
    with pytest.raises(LabError, match=r"Docker has 2\.0 GB"):
        requirements.memory({"MemTotal": 2 * 2**30})
    requirements.memory({"MemTotal": 6 * 2**30})
    with pytest.raises(LabError, match="the cluster needs 1e"):
        requirements.disk({"DockerRootDir": "/"}, needed=1e9)


def test_too_little_room_in_labkits_home_is_told_as_such(home: Path) -> None:
    requirements.home()
    assert not home.exists(), "asking makes nothing"
    with pytest.raises(LabError, match=f"GB are free in {home}, images on their way") as caught:
        requirements.home(needed=1e9)
    assert "set LABKIT_HOME" in caught.value.hint
    assert "docker" not in caught.value.hint


def test_a_low_inotify_limit_is_told_with_the_command_that_raises_it(tmp_path: Path) -> None:
    (tmp_path / "max_user_instances").write_text("128\n")
    with pytest.raises(LabError, match="max_user_instances is 128") as caught:
        requirements.inotify(tmp_path)
    assert caught.value.hint.startswith("sudo sysctl")


def test_few_watches_are_no_reason_to_refuse_but_worth_a_note(tmp_path: Path) -> None:
    (tmp_path / "max_user_instances").write_text("1024\n")
    (tmp_path / "max_user_watches").write_text("8192\n")
    requirements.inotify(tmp_path)
    assert requirements.few_watches(tmp_path).startswith("fs.inotify.max_user_watches is 8192, kind asks for 524288")
    (tmp_path / "max_user_watches").write_text("524288\n")
    assert requirements.few_watches(tmp_path) == ""
    assert requirements.few_watches(tmp_path / "none") == "", "a kernel that tells nothing"


@pytest.mark.parametrize(
    ("version", "differs"),
    [(versions.table()["kind"], False), ("v0.29.0", True), ("v0.31.0-alpha+1234", True)],
)
def test_another_kind_than_the_one_that_node_images_are_made_for_is_told(
    tmp_path: Path, version: str, differs: bool
) -> None:
    kind = tmp_path / "kind"
    kind.write_text(f'#!/bin/sh\n[ "$1" = version ] && echo kind {version} go1.24.6 linux/amd64\n')
    kind.chmod(0o755)
    told = requirements.kind_differs(str(kind))
    assert bool(told) is differs
    if differs:
        assert told == (
            f"{kind} is kind {version}, node images are made for v0.30.0: go install sigs.k8s.io/kind@v0.30.0"
        )


def test_cgroup_v1_is_refused_only_for_a_kubernetes_that_refuses_it() -> None:
    requirements.cgroups({"CgroupVersion": "1"}, "1.34")
    requirements.cgroups({"CgroupVersion": "2"}, "1.35")
    with pytest.raises(LabError, match="cgroup v1"):
        requirements.cgroups({"CgroupVersion": "1"}, "1.35")


def test_a_taken_port_is_refused_before_anything_is_made() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(LabError, match="is taken"):
        requirements.port(taken.getsockname()[1])


def test_a_missing_kind_is_told_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="no kind on the PATH") as caught:
        programs.kind("v0.30.0")
    assert "go install sigs.k8s.io/kind@v0.30.0" in caught.value.hint


def test_an_option_of_the_other_engine_is_refused_by_name(home: Path) -> None:
    with pytest.raises(LabError, match="embedded has no --kubernetes"):
        cluster.up("test-none", "embedded", kubernetes="1.34")
