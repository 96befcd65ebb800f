"""What a machine can do to a cluster: no room, no rights, damaged files, the wrong Python. Each is told in words that help,
and loses nothing that was acknowledged."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from clusters import Kube, phase
from kubeproc import engine
from labkit import cluster, paths

ROOT = Path(__file__).parents[1]
SIZE = "32m"  # of the small disk


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A home of its own; every cluster in it is gone at the end."""
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    yield tmp_path
    for folder in (tmp_path / "clusters").glob("*"):
        cluster.down(folder.name)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own, where the kernel lets us mount one."""
    point = tmp_path / "disk"
    point.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", point], capture_output=True).returncode:
        pytest.skip("only root may mount a file system")
    yield point
    subprocess.run(["umount", "--lazy", point], check=True)


def labkit(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "labkit.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, **more)


def refused(said: subprocess.CompletedProcess[str], *words: str) -> None:
    """It failed as a command should: exit code 1, the words, a hint, no traceback."""
    assert said.returncode == 1, said.stdout
    for word in (*words, "hint:"):
        assert word in said.stderr, said.stderr
    assert "Traceback" not in said.stderr


# -- a full disk -------------------------------------------------------------------------------------------------------


def fill(folder: Path) -> Path:
    """Write until there is no room; the file that takes it."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (2**20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


def test_a_full_disk_is_told_and_costs_nothing_that_was_acknowledged(
    disk: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(disk))
    cluster.up("a")
    folder = paths.cluster("a")
    try:
        kube = Kube(folder, "default")
        kept: set[str] = set()
        kube.pod("waits", ["sh", "-c", WAITS])
        kube.running("waits")
        ballast = fill(disk)
        with pytest.raises(ApiException) as told:
            write(kube, kept, 200)
        assert told.value.status == 507
        status = json.loads(told.value.body)
        assert (status["kind"], status["status"], status["reason"]) == ("Status", "Failure", "InsufficientStorage")
        assert "is the disk full" in status["message"]
        assert names(kube) == kept, "what is there can be read"

        os.kill(engine.daemon(folder, "server").pid, signal.SIGKILL)
        assert answered(lambda: names(kube)) == kept, "a server killed on a full disk starts again"
        refused(labkit("up", "--name", "b"), "b", "is the disk full")

        ballast.unlink()
        answered(lambda: write(kube, kept, 3))
        assert names(kube) == kept
        pod = kube.until("waits", lambda p: phase(p) in ("Succeeded", "Failed"), 20)
        assert phase(pod) == "Succeeded", pod["status"]
        assert "No space left on device" in kube.log("waits") or "refused" in kube.log("waits")
        kube.pod("later", ["echo", "room"])
        kube.ended("later")
        assert kube.log("later") == "room\n"
        os.kill(engine.daemon(folder, "server").pid, signal.SIGKILL)
        assert answered(lambda: names(kube)) == kept
    finally:
        cluster.down("a")


# Waits until the disk is full, and says once there is room again how its own writing went.
WAITS = """
until ! head -c 2000000 /dev/zero > /tmp/probe 2> /dev/null; do rm -f /tmp/probe; sleep 0.05; done
rm -f /tmp/probe
until head -c 2000000 /dev/zero > /tmp/probe 2> /dev/null; do rm -f /tmp/probe; sleep 0.05; done
echo refused, then room again
"""


def write(kube: Kube, kept: set[str], count: int) -> None:
    for _ in range(count):
        name = f"m{len(kept)}"
        kube.core.create_namespaced_config_map("default", {"metadata": {"name": name}, "data": {"x": "y" * 200_000}})
        kept.add(name)


def names(kube: Kube) -> set[str]:
    found = {m.metadata.name for m in kube.core.list_namespaced_config_map("default").items}
    return found - {"kube-root-ca.crt"}


def answered(call: Any, seconds: float = 20) -> Any:
    """What the call returns once the server is there."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except (HTTPError, ApiException):
            assert time.monotonic() < deadline
            time.sleep(0.1)


# -- no rights ---------------------------------------------------------------------------------------------------------


def test_a_read_only_home_is_one_clear_error(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    environment = os.environ | {"LABKIT_HOME": str(disk)}
    refused(labkit("up", env=environment), str(disk), "Read-only file system", "LABKIT_HOME")
    assert labkit("status", env=environment).returncode == 1
    assert labkit("down", env=environment).returncode == 0


@pytest.mark.parametrize("command", [("up",), ("run", ROOT / "notebooks" / "00_setup.ipynb", "--out", "out")])
def test_a_folder_without_write_permission_is_one_clear_error(tmp_path: Path, command: tuple[Any, ...]) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    environment = os.environ | {"LABKIT_HOME": str(closed / "home")}
    words = [str(word) for word in command]
    if os.getuid() == 0:  # whom no permission stops: without its privileges
        dropped = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", sys.executable, "-m", "labkit.cli"]
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not there, and root may write everywhere")
        said = subprocess.run(
            [*dropped, *words], capture_output=True, text=True, env=environment, cwd=closed, timeout=90
        )
    else:
        said = labkit(*words, env=environment, cwd=closed)
    refused(said, "Permission denied")


# -- damaged files -----------------------------------------------------------------------------------------------------


def test_a_damaged_database_is_named_and_nothing_runs_on(home: Path) -> None:
    folder = paths.cluster("a")
    paths.own(folder.root)
    folder.database.write_bytes(b"this is no database" * 1000)
    refused(labkit("up", "--name", "a"), f"{folder.database} is damaged", "labkit down --purge")
    assert set(cluster.status("a")["daemons"].values()) == {0}
    assert labkit("down", "--purge", "--name", "a").returncode == 0
    assert labkit("up", "--name", "a").returncode == 0


def test_a_database_of_a_newer_labkit_is_refused(home: Path) -> None:
    cluster.up("a")
    cluster.down("a")
    folder = paths.cluster("a")
    with sqlite3.connect(folder.database) as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    refused(labkit("up", "--name", "a"), "has schema 99", "use the version that created it")
    assert set(cluster.status("a")["daemons"].values()) == {0}


def test_a_running_cluster_whose_description_was_deleted_can_be_stopped(home: Path) -> None:
    cluster.up("a")
    paths.cluster("a").info.unlink()
    refused(labkit("up", "--name", "a"), "cluster.json is missing", "labkit down, then labkit up")
    assert labkit("down", "--name", "a").stdout == "cluster a: stopped, its state kept\n"
    assert labkit("up", "--name", "a").returncode == 0


def test_a_deleted_kubeconfig_is_back_with_the_next_up(home: Path) -> None:
    cluster.up("a")
    folder = paths.cluster("a")
    before = folder.kubeconfig.read_bytes()
    folder.kubeconfig.unlink()
    assert labkit("up", "--name", "a").returncode == 0
    assert folder.kubeconfig.read_bytes() == before
    assert folder.kubeconfig.stat().st_mode & 0o077 == 0
    api = config.new_client_from_config(str(folder.kubeconfig))
    assert client.CoreV1Api(api).list_node().items


def test_a_port_that_somebody_took_meanwhile_is_replaced_by_another(home: Path) -> None:
    before = cluster.up("a")["api"]
    cluster.down("a")
    with socket.create_server(("127.0.0.1", int(before.rpartition(":")[2]))):
        assert labkit("up", "--name", "a").returncode == 0
        assert cluster.status("a")["api"] != before
        api = config.new_client_from_config(str(paths.cluster("a").kubeconfig))
        assert client.CoreV1Api(api).list_node().items


def test_a_damaged_tokens_file_is_named_and_made_anew(home: Path) -> None:
    cluster.up("a")
    cluster.down("a")
    tokens = paths.cluster("a").tokens
    tokens.write_text("{")
    refused(labkit("up", "--name", "a"), f"{tokens} is damaged", "delete the file")
    tokens.unlink()
    assert labkit("up", "--name", "a").returncode == 0


# -- the wrong Python --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def old_python() -> str:
    """A Python 3.10, wherever one is."""
    candidates: list[str | Path] = [
        *Path.home().glob(".pyenv/versions/3.10*/bin/python"),
        *filter(None, [shutil.which("python3.10")]),
    ]
    for candidate in candidates:
        found = subprocess.run([candidate, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True)
        if found.stdout == b"(3, 10)\n":
            return str(candidate)
    pytest.skip("no Python 3.10 on this machine")


@pytest.mark.parametrize("words", [("-c", "import labkit.cluster"), ("-m", "labkit.cli", "up")])
def test_python_3_10_is_told_what_labkit_needs(old_python: str, words: tuple[str, ...]) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT)}
    said = subprocess.run([old_python, *words], env=environment, cwd="/", capture_output=True, text=True, timeout=30)
    assert said.returncode == 1
    assert "labkit needs Python 3.11 to 3.13" in said.stderr
    assert "is 3.10\n  hint: make course PYTHON=python3.11" in said.stderr


def test_make_with_python_3_10_says_what_to_do(old_python: str, tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.txt", "requirements-setup.txt", "pyproject.toml", "cluster", ".ci"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    command = ["make", "-C", str(tmp_path), "course", f"PYTHON={old_python}"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert said.returncode != 0
    assert "labkit needs Python 3.11 to 3.13" in said.stderr
    assert "hint: make PYTHON=python3.11 course" in said.stderr
    assert not (tmp_path / ".venv").exists()
