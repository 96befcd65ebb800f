"""What a container's path means on the host."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.embedded.runtime.launch import Launch, Mount
from labkit.embedded.runtime.paths import host_path, translate
from labkit.errors import LabError


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    for name in ("root/tmp", "data/deep", "config"):
        (tmp_path / name).mkdir(parents=True)
    mounts = (Mount(tmp_path / "data", "/mnt/data"), Mount(tmp_path / "config", "/etc/app/", read_only=True))
    return Launch(["true"], {}, "/work", tmp_path / "root", mounts)


def test_paths_lie_in_the_root_or_in_the_nearest_mount(launch: Launch, tmp_path: Path) -> None:
    expected = {
        "/": "root",
        "/tmp/x": "root/tmp/x",
        "/mnt": "root/mnt",
        "/mnt/data": "data",
        "/mnt/data/": "data",
        "/mnt/database": "root/mnt/database",
        "/mnt/./data//deep/../x": "data/x",
        "/mnt/data/../other": "root/mnt/other",
        "../../../etc/app/name": "config/name",
        "relative": "root/work/relative",
    }
    for path, place in expected.items():
        assert host_path(launch, path) == tmp_path / place


def test_the_hosts_own_folders_are_where_they_are(launch: Launch) -> None:
    assert host_path(launch, "/usr/bin/env") == Path("/usr/bin/env")
    assert host_path(launch, f"{sys.prefix}/bin") == Path(sys.prefix, "bin")
    assert host_path(launch, "/bin/sh").exists()


def test_links_are_followed_as_the_container_would(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "root/tmp/absolute").symlink_to("/mnt/data/deep")
    (tmp_path / "root/tmp/relative").symlink_to("../mnt/data")
    (tmp_path / "root/tmp/secret").symlink_to("/home/user")
    (tmp_path / "data/up").symlink_to("../../../../../../tmp")
    (tmp_path / "root/tmp/loop").symlink_to("loop")
    (tmp_path / "root/tmp/host").symlink_to(tmp_path / "data")  # as a program without a mount namespace makes it
    assert host_path(launch, "/tmp/absolute/x") == tmp_path / "data/deep/x"
    assert host_path(launch, "/tmp/relative/x") == tmp_path / "data/x"
    assert host_path(launch, "/tmp/secret/x") == tmp_path / "root/home/user/x"
    assert host_path(launch, "/mnt/data/up/x") == tmp_path / "root/tmp/x"
    assert host_path(launch, "/tmp/host/x") == tmp_path / "data/x"
    with pytest.raises(LabError, match="too many levels"):
        host_path(launch, "/tmp/loop/x")


@given(
    st.lists(
        st.sampled_from(["..", ".", "tmp", "mnt", "data", "deep", "up", "out", "home", "etc", "app"]), max_size=12
    ),
    st.booleans(),
)
def test_no_path_leaves_the_container(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], absolute: bool
) -> None:
    base = Path(tmp_path_factory.getbasetemp()) / "fence"
    if not base.exists():
        for name in ("root/tmp", "data/deep"):
            (base / name).mkdir(parents=True)
        (base / "root/tmp/out").symlink_to("/../../..")
        (base / "data/up").symlink_to("../../..")
        (base / "data/deep/home").symlink_to(base)
    launch = Launch([], {}, "/tmp", base / "root", (Mount(base / "data", "/mnt/data"),))
    place = host_path(launch, ("/" if absolute else "") + "/".join(parts))
    inside = (place == top or top in place.parents for top in (base / "root", base / "data", Path("/etc")))
    assert any(inside), place
    assert not os.path.islink(place)


def test_whole_components_are_translated_and_nothing_else(launch: Launch, tmp_path: Path) -> None:
    tmp, data, config = (str(tmp_path / name) for name in ("root/tmp", "data", "config"))
    cases = {
        "/tmp": tmp,
        "/tmp/": f"{tmp}/",
        "cat /tmp/a /mnt/data/b": f"cat {tmp}/a {data}/b",
        "--out=/tmp/a,/mnt/data": f"--out={tmp}/a,{data}",
        "open('/tmp/a')": f"open('{tmp}/a')",
        '{"path": "/tmp"}': f'{{"path": "{tmp}"}}',
        "echo>/tmp/x;cat</tmp/x": f"echo>{tmp}/x;cat<{tmp}/x",
        "file:///tmp/x": f"file://{tmp}/x",
        "/bin:/tmp/bin": f"/bin:{tmp}/bin",
        "It is in /tmp.": f"It is in {tmp}.",
        "/etc/app/name and /etc/passwd": f"{config}/name and /etc/passwd",
        "/mnt/data,/mnt/database": f"{data},/mnt/database",
    }
    for text, expected in cases.items():
        assert translate(launch, text) == expected
    same = ["/tmpfile", "/tmp.bak", "/tmp-1", "x/tmp", "./tmp", "~/tmp", "$HOME/tmp", "${A}/tmp", "/var/tmp", "/tmp~"]
    for text in (*same, f"{tmp}/a", f"cat {data}/tmp/x", "s3://bucket/tmp/x", "http://host/mnt/data"):
        assert translate(launch, text) == text


@given(st.text(alphabet="/tmpnda =:'\"\n.x", max_size=60))
def test_translating_twice_changes_nothing_more(text: str) -> None:
    launch = Launch([], {}, "/", Path("/tmp/pods/1/root"), (Mount(Path("/tmp/volumes/a"), "/mnt/data"),), paths=("/t",))
    once = translate(launch, text)
    assert translate(launch, once) == once
