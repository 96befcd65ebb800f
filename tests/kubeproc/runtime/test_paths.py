"""What a container's path means on the host."""

from __future__ import annotations

import ast
import glob
import os
import shlex
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kubeproc.errors import HintedError
from kubeproc.folder import ClusterFolder, settle
from kubeproc.runtime.launch import Launch, Mount
from kubeproc.runtime.paths import host_path, translate


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
    with pytest.raises(HintedError, match="too many levels"):
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
    root, tmp, data, config = (str(tmp_path / name) for name in ("root", "root/tmp", "data", "config"))
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
        "/mnt/data,/mnt/database": f"{data},{root}/mnt/database",
        "/database,/data": "/database,/data",
        "/var/tmp/x /dev/shm /dev/null": f"{root}/var/tmp/x {root}/dev/shm /dev/null",
        "/root /home/me /run/x /srv": f"{root}/root {root}/home/me {root}/run/x {root}/srv",
    }
    for text, expected in cases.items():
        assert translate(launch, text) == expected
    same = ["/tmpfile", "/tmp.bak", "/tmp-1", "x/tmp", "./tmp", "~/tmp", "$HOME/tmp", "${A}/tmp", "/usr/tmp", "/tmp~"]
    for text in (*same, f"{tmp}/a", f"cat {data}/tmp/x", "s3://bucket/tmp/x", "http://host/mnt/data"):
        assert translate(launch, text) == text


def test_what_replaces_a_path_means_nothing_to_a_shell_or_is_refused(launch: Launch, tmp_path: Path) -> None:
    mount = Mount(tmp_path / "data" / "a b;c", "/sub")
    mount.source.mkdir()
    words = translate(replace(launch, mounts=(mount,)), "rm -rf /sub/x").split(" ")
    assert len(words) == 3
    assert Path(words[2]).parent.resolve() == mount.source
    with pytest.raises(HintedError, match="can't be used in a program's text"):
        translate(replace(launch, root=tmp_path / "my disk" / "root"), "rm -rf /tmp/x")


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_whatever_a_home_is_called_a_translated_path_is_one_word(name: str) -> None:
    assume(name not in (".", "..") and len(name.encode()) < 200)
    with tempfile.TemporaryDirectory() as base:
        folder = ClusterFolder(Path(base, name, "clusters", "c"))
        folder.root.mkdir(parents=True)
        try:
            settle(folder, translated=True)
            root = folder.pods.resolve() / "uid" / "containers" / "main" / "root"
            launch = Launch([], {}, "/", root, (Mount(folder.volumes.resolve() / "ns" / "claim", "/data"),))
            root.mkdir(parents=True)
            for path, place in (("/tmp/x", root / "tmp/x"), ("/data/x", folder.volumes / "ns/claim/x")):
                text = translate(launch, path)
                assert [text] == shlex.split(text) == [shlex.quote(text)] == [glob.escape(text)]
                assert ast.literal_eval(f"b'{text}'").decode() == text % () == text.format() == text
                assert Path(text).parent.parent.resolve() == place.parent.parent.resolve()
                assert os.path.realpath(text) == text
        finally:
            shutil.rmtree(folder.plain, ignore_errors=True)


@given(st.text(alphabet="/tmpnda =:'\"\n.x", max_size=60))
def test_translating_twice_changes_nothing_more(text: str) -> None:
    launch = Launch([], {}, "/", Path("/tmp/pods/1/root"), (Mount(Path("/tmp/volumes/a"), "/mnt/data"),), paths=("/t",))
    once = translate(launch, text)
    assert translate(launch, once) == once
