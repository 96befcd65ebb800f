"""No root: the whole cluster as an ordinary user of this host, beside one of root's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit import cluster
from strangers import NOBODY, Stranger, stranger

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="the tests run as an ordinary user already")

PROGRAM = """
import sys
from labkit import client, cluster
from kubernetes import client as k

cluster.use("mine")
pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"restartPolicy": "Never", "containers": [
    {"name": "main", "image": "busybox", "command": ["sh", "-c", "touch /tmp/x; ls /tmp; ls -a /root /home 2>&1; id -u"]}]}}
client.apply(pod)
ended = client.wait("pod", "p", lambda p: p["status"].get("phase") in ("Succeeded", "Failed"), timeout=30)
print(ended["status"]["phase"], "".join(client.logs("p")).split())
print(cluster.status("mine")["state"])
"""


@pytest.fixture(scope="module")
def somebody() -> Iterator[Stranger]:
    with stranger() as found:
        yield found


@pytest.fixture
def home(somebody: Stranger) -> Iterator[Path]:
    made = somebody.home("home")
    yield made
    shutil.rmtree(made)


def as_nobody(somebody: Stranger, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {"HOME": str(home), "LABKIT_HOME": str(home / "labkit"), "PATH": os.environ["PATH"]}
    return somebody.run(sys.executable, *words, env=env)


def test_an_ordinary_user_has_a_cluster_whose_pods_are_isolated(somebody: Stranger, home: Path) -> None:
    try:
        said = as_nobody(somebody, home, "-c", PROGRAM)
        assert said.returncode == 0, said.stderr
        ended, state = said.stdout.splitlines()
        assert state == "running"
        assert ended.startswith("Succeeded")
        assert "'x'" in ended, "the pod's own /tmp"
    finally:
        down = as_nobody(somebody, home, "-m", "labkit.cli", "down", "--purge", "--name", "mine")
    assert down.returncode == 0, down.stderr


def test_two_users_of_a_host_never_meet(
    somebody: Stranger, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    own = cluster.up("mine")
    try:
        assert as_nobody(somebody, home, "-m", "labkit.cli", "up", "--name", "mine").returncode == 0
        said = as_nobody(somebody, home, "-m", "labkit.cli", "status", "--name", "mine", "-o", "json")
        theirs = json.loads(said.stdout)
        assert theirs["state"] == "running"
        assert theirs["api"] != own["api"]
        assert not set(theirs["daemons"].values()) & set(own["daemons"].values())
        assert as_nobody(somebody, home, "-m", "labkit.cli", "down", "--purge", "--name", "mine").returncode == 0
        assert cluster.status("mine")["daemons"] == own["daemons"]
    finally:
        as_nobody(somebody, home, "-m", "labkit.cli", "down", "--purge", "--name", "mine")
        cluster.down("mine")


def test_a_users_cluster_is_closed_to_other_users(somebody: Stranger, home: Path) -> None:
    try:
        assert as_nobody(somebody, home, "-m", "labkit.cli", "up", "--name", "mine").returncode == 0
        folder = home / "labkit" / "clusters" / "mine"
        for path in (folder, folder / "kubeconfig", folder / "tokens.json"):
            assert path.stat().st_mode & 0o077 == 0, path
        stranger = NOBODY - 1
        with pytest.raises(subprocess.CalledProcessError):
            subprocess.run(["cat", str(folder / "kubeconfig")], user=stranger, check=True, capture_output=True)
    finally:
        assert as_nobody(somebody, home, "-m", "labkit.cli", "down", "--purge", "--name", "mine").returncode == 0
