"""Where a cluster's files go: on a local disk, in a folder of one's own, with sockets whose paths are short enough."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labkit import paths
from labkit.errors import LabError


def test_the_home_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    assert paths.cluster("a").root == tmp_path / "clusters" / "a"


def test_a_link_to_a_clusters_folder_is_that_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = tmp_path / "one" / "clusters" / "a"
    real.mkdir(parents=True)
    link = tmp_path / ("long-" * 20) / "clusters" / "a"
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    folders = []
    for home in (tmp_path / "one", link.parents[1]):
        monkeypatch.setenv("LABKIT_HOME", str(home))
        folders.append(paths.cluster("a"))
    assert folders[0] == folders[1]
    assert folders[0].run == folders[1].run


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_home_on_a_network_file_system_puts_clusters_on_a_local_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(paths, "mounts", lambda: [("/", "ext4"), (str(tmp_path), kind), (f"{tmp_path}x", "ext4")])
    elsewhere = paths.cluster("a").root
    assert tmp_path not in elsewhere.parents
    assert str(os.getuid()) in elsewhere.parts[3]
    assert paths.cluster("a").root == elsewhere, "every command derives the same folder"
    assert paths.network_file_system(paths.home()) == kind


def test_status_says_that_the_state_lies_elsewhere_and_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from labkit import cluster

    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.setattr(paths, "mounts", lambda: [(str(tmp_path), "nfs4")])
    (note,) = cluster.status("a")["notes"]
    assert "network file system (nfs4)" in note
    assert str(paths.cluster("a").root) in note


def test_a_mount_below_the_network_file_system_counts_for_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "mounts", lambda: [(str(tmp_path), "nfs4"), (str(tmp_path / "disk"), "ext4")])
    assert paths.network_file_system(tmp_path / "disk" / "x") == ""
    assert paths.network_file_system(tmp_path / "other") == "nfs4"


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "a b", "-a", "x" * 60])
def test_a_name_that_is_no_folder_name_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="can't be a cluster's name"):
        paths.cluster(name)


def test_a_long_path_gets_a_short_folder_for_sockets(tmp_path: Path) -> None:
    deep = paths.ClusterFolder(tmp_path / ("d" * 60) / ("e" * 60))
    assert len(os.fsencode(deep.kubelet_socket)) < 104
    assert deep.run != paths.ClusterFolder(tmp_path / ("d" * 60) / ("f" * 60)).run


def test_a_folder_that_cant_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match=r"file/home can't be created") as caught:
        paths.own(tmp_path / "file" / "home")
    assert "LABKIT_HOME" in caught.value.hint


def test_a_folder_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "getuid", lambda: os.stat(tmp_path).st_uid + 1)
    with pytest.raises(LabError, match="belongs to another user"):
        paths.own(tmp_path)


def test_a_folder_of_ones_own_is_private(tmp_path: Path) -> None:
    assert paths.own(tmp_path / "a" / "b").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a folder of another user")
def test_a_folder_for_sockets_below_one_that_somebody_else_has_made_first_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / f"labkit-{os.getuid()}"
    theirs.mkdir(mode=0o777)
    os.chown(theirs, 4711, 4711)
    with pytest.raises(LabError, match="belongs to another user"):
        paths.own(theirs / "abcdef")


def test_the_short_folder_does_not_depend_on_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deep = paths.ClusterFolder(tmp_path / ("d" * 60) / ("e" * 60))
    before = deep.run
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert deep.run == before
