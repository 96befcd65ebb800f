"""No root: the whole cluster as an ordinary user of this host, beside one of root's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit import cluster

ROOT = Path(__file__).parent.parent
NOBODY = 65534

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
def python() -> Iterator[str]:
    """An environment that anybody may run: the suite's own interpreter may lie in a private home, so that this one is of
    the system's Python with the suite's packages."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    with tempfile.TemporaryDirectory(prefix="labkit-venv-") as folder:
        os.chmod(folder, 0o755)
        for base in (os.path.realpath(sys.executable), f"/usr/bin/{version}"):
            if _runs([base, "-c", ""]):
                subprocess.run([base, "-m", "venv", "--without-pip", "--clear", folder], check=True)
                packages = [str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
                (Path(folder) / "lib" / version / "site-packages" / "suite.pth").write_text("\n".join(packages))
                if _runs([f"{folder}/bin/python", "-c", "import labkit.cli, kubernetes, starlette"]):
                    yield f"{folder}/bin/python"
                    return
    pytest.skip("no interpreter, or no packages, that an ordinary user may read")


def _runs(command: list[str]) -> bool:
    try:
        return subprocess.run(command, user=NOBODY, cwd="/", env={}, capture_output=True).returncode == 0
    except (PermissionError, FileNotFoundError):
        return False


def environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "LABKIT_HOME": str(home / "labkit"), "PATH": os.environ["PATH"]}


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="labkit-nobody-") as name:
        os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def as_nobody(python: str, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *words],
        env=environment(home),
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=90,
    )


def test_an_ordinary_user_has_a_cluster_whose_pods_are_isolated(python: str, home: Path) -> None:
    try:
        said = as_nobody(python, home, "-c", PROGRAM)
        assert said.returncode == 0, said.stderr
        ended, state = said.stdout.splitlines()
        assert state == "running"
        assert ended.startswith("Succeeded")
        assert "'x'" in ended, "the pod's own /tmp"
    finally:
        down = as_nobody(python, home, "-m", "labkit.cli", "down", "--purge", "--name", "mine")
    assert down.returncode == 0, down.stderr


def test_two_users_of_a_host_never_meet(
    python: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    own = cluster.up("mine")
    try:
        assert as_nobody(python, home, "-m", "labkit.cli", "up", "--name", "mine").returncode == 0
        said = as_nobody(python, home, "-m", "labkit.cli", "status", "--name", "mine", "-o", "json")
        theirs = json.loads(said.stdout)
        assert theirs["state"] == "running"
        assert theirs["api"] != own["api"]
        assert not set(theirs["daemons"].values()) & set(own["daemons"].values())
        assert as_nobody(python, home, "-m", "labkit.cli", "down", "--purge", "--name", "mine").returncode == 0
        assert cluster.status("mine")["daemons"] == own["daemons"]
    finally:
        as_nobody(python, home, "-m", "labkit.cli", "down", "--purge", "--name", "mine")
        cluster.down("mine")


def test_a_users_cluster_is_closed_to_other_users(python: str, home: Path) -> None:
    try:
        assert as_nobody(python, home, "-m", "labkit.cli", "up", "--name", "mine").returncode == 0
        folder = home / "labkit" / "clusters" / "mine"
        for path in (folder, folder / "kubeconfig", folder / "tokens.json"):
            assert path.stat().st_mode & 0o077 == 0, path
        stranger = NOBODY - 1
        with pytest.raises(subprocess.CalledProcessError):
            subprocess.run(["cat", str(folder / "kubeconfig")], user=stranger, check=True, capture_output=True)
    finally:
        assert as_nobody(python, home, "-m", "labkit.cli", "down", "--purge", "--name", "mine").returncode == 0
