"""The paths that stand in a program mean the container's, with each kind of isolation."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path

import pytest

from kubeproc.runtime.launch import Mount

from .conftest import ENV, Bench

LITERALS = ["/tmp", "/var/tmp", "/dev/shm", "/root", "/home", "/mnt", "/srv", "/run", "/data", "/out", "/work/deep"]


def script(bench: Bench, name: str, text: str, **more: object):
    """A launch of a Python file of a volume: its text is not translated."""
    folder = bench.home / "program"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(textwrap.dedent(text))
    data = bench.home / f"data{bench.count}"
    data.mkdir(exist_ok=True)
    return bench.make(["python3", f"/app/{name}"], mounts=(Mount(folder, "/app"), Mount(data, "/data")), **more)


def seen(bench: Bench, name: str, text: str, **more: object) -> object:
    ended = bench.end(bench.begin(script(bench, name, text, **more)))
    assert (ended.code, ended.err) == (0, "")
    return json.loads(ended.out)


@pytest.mark.parametrize("warm", [False, True], ids=["started", "forked"])
def test_a_python_programs_literals_are_the_containers(bench: Bench, warm: bool) -> None:
    text = f"""
        import json, os, pathlib, shutil, tempfile
        for folder in {LITERALS}:
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, "open"), "w") as file:
                file.write("x")
            pathlib.Path(folder, "pathlib").write_text("x")
            os.rename(folder + "/pathlib", folder + "/renamed")
            shutil.copy(folder + "/open", folder + "/copied")
            os.symlink(folder + "/open", folder + "/link")
            os.close(os.open(folder + "/os", os.O_CREAT))
            os.mkdir(folder + "/tree")
            open(folder + "/tree/file", "w").close()
            shutil.rmtree(folder + "/tree")
        print(json.dumps([sorted(os.listdir(folder)) for folder in {LITERALS}]))
    """
    launch = script(bench, "literals.py", text, warm=warm)
    for folder in LITERALS:
        assert not Path(folder, "renamed").exists()
    ended = bench.end(bench.begin(launch))
    assert (ended.code, ended.err) == (0, "")
    names = {"copied", "link", "open", "os", "renamed"}
    assert all(names <= set(found) for found in json.loads(ended.out))
    for folder in LITERALS:
        assert not os.path.lexists(f"{folder}/renamed"), "written to the host"
        if folder != "/dev/shm" or not bench.isolated:  # there a file system of its own, which went with the container
            assert bench.runtime.host_path(launch, f"{folder}/link").read_text() == "x"


def test_libraries_that_open_files_themselves_get_the_containers(bench: Bench) -> None:
    text = """
        import json, sqlite3, ssl, certifi, shutil
        with sqlite3.connect("/data/base") as base:
            base.execute("CREATE TABLE t(x)")
        shutil.copy(certifi.where(), "/tmp/ca.crt")
        print(json.dumps([sqlite3.connect("/data/base").execute("SELECT count(*) FROM t").fetchone()[0],
              len(ssl.create_default_context(cafile="/tmp/ca.crt").get_ca_certs()) > 50]))
    """
    assert seen(bench, "libraries.py", text) == [0, True]


def test_what_a_python_program_starts_has_the_containers_paths(bench: Bench) -> None:
    text = """
        import json, os, subprocess, sys
        subprocess.run(["sh", "-c", "echo 1 > /tmp/shell; cp /tmp/shell /data/copy"], check=True)
        os.system("echo 2 > /var/tmp/system")
        subprocess.run([sys.executable, "-c", "open('/' + 'out', 'w').write('3')"], check=True)
        with open("/tmp/run", "w") as file:
            file.write("#!/bin/sh\\ncat")
        os.chmod("/tmp/run", 0o755)
        found = subprocess.run(["/tmp/run"], cwd="/tmp", input=b"4", stdout=subprocess.PIPE).stdout.decode()
        print(json.dumps([open(path).read().strip() for path in ("/data/copy", "/var/tmp/system", "/out")] + [found]))
    """
    assert seen(bench, "starts.py", text) == ["1", "2", "3", "4"]


def test_the_system_and_the_interpreter_are_the_hosts(bench: Bench) -> None:
    text = """
        import json, os, sys, sysconfig
        print(json.dumps([os.path.exists(p) for p in ("/etc/passwd", "/proc/self/stat", "/dev/null", "/bin/sh", sys.prefix,
              os.__file__, sysconfig.get_paths()["purelib"])] + [os.path.exists(%r)]))
    """
    secret = bench.home / "host-only"
    secret.write_text("")
    assert seen(bench, "system.py", text % str(secret)) == [True] * 7 + [False]


def test_a_way_that_python_does_not_take_ends_in_an_error_that_says_so(bench: Bench) -> None:
    if bench.isolated:
        pytest.skip("has a file system of its own")
    text = """
        import _io, _sqlite3, json, socket
        said = []
        for attempt in (
            lambda: _sqlite3.connect("/tmp/escaped"),
            lambda: socket.socket(socket.AF_UNIX).bind("/tmp/escaped"),
            lambda: _io.FileIO("/data/escaped", "w"),
        ):
            try:
                attempt()
            except PermissionError as error:
                said.append(str(error))
        print(json.dumps(said))
    """
    said = seen(bench, "other.py", text)
    assert len(said) == 3
    assert all("pass it by the command line or the environment" in words for words in said)
    assert not Path("/tmp/escaped").exists()


def test_a_program_has_its_own_sitecustomize_and_pythonpath(bench: Bench) -> None:
    folder = bench.home / "own"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text("import builtins; builtins.own = 'own'")
    (folder / "mine.py").write_text("name = 'mine'")
    code = "import mine; print(own, mine.name)"
    mounts = (Mount(folder, "/srv/own"),)
    ended = bench.run(["python3", "-c", code], env=ENV | {"PYTHONPATH": "/srv/own"}, mounts=mounts)
    assert (ended.code, ended.out, ended.err) == (0, "own mine\n", "")


@pytest.mark.slow
def test_tensorflows_own_files(bench: Bench) -> None:
    text = """
        import json, tensorflow as tf
        tf.constant(1.0)
        tf.io.gfile.makedirs("/tmp/model")
    """
    ended = bench.end(bench.begin(script(bench, "files.py", text)))
    if bench.isolated:
        assert ended.code == 0
    else:
        assert "pass it by the command line" in ended.err
    assert not Path("/tmp/model").exists()


def test_a_shell_has_the_folders_of_a_container(bench: Bench) -> None:
    launch = bench.make(
        "for d in /tmp /var/tmp /dev/shm /root /home /mnt /srv /run /var/log; do echo x > $d/f || exit 1; done"
    )
    ended = bench.end(bench.begin(launch))
    assert (ended.code, ended.err) == (0, "")
    assert not any(os.path.exists(f"{folder}/f") for folder in ("/tmp", "/var/tmp", "/dev/shm", "/root", "/home"))
