"""Whether the parts of a cluster can be had: told before anything is made, by who would fetch them, and never for ever."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.errors import LabError
from realkube.supply import availability, operator_manifests, versions
from realkube.supply.bundle import Bundle

KIT = Path(__file__).parents[2]
docker = pytest.mark.skipif(not shutil.which("docker"), reason="needs Docker's client")


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that takes connections and says nothing, as through a firewall that drops packets."""
    monkeypatch.setattr(availability, "SECONDS", 1)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """One with the tag v1."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    subprocess.run([*git, "tag", "v1"], check=True)
    return str(tmp_path)


def test_a_repository_is_asked_for_the_tag(repository: str) -> None:
    assert availability._answer(["git", "ls-remote", "--exit-code", repository, "v1"]) == ""
    assert "git ls-remote" in availability._answer(["git", "ls-remote", "--exit-code", repository, "v2"])


def test_the_repositories_are_those_of_the_kustomizations() -> None:
    assert availability._of_git("argo-workflows")[-2:] == ["https://github.com/argoproj/argo-workflows", "v3.7.9"]
    assert availability._of_git("training-operator")[-2:] == ["https://github.com/kubeflow/training-operator", "v1.9.4"]


def test_a_server_that_never_answers_is_given_up(silent: str) -> None:
    assert "did not end within 1 s" in availability._answer(["git", "ls-remote", f"http://{silent}/a/b", "v1"])


def test_a_program_that_is_not_there_is_told() -> None:
    assert availability._answer(["no-such-program"]) == "no-such-program can't be run: No such file or directory"


@docker
def test_a_registry_that_never_answers_is_given_up(silent: str) -> None:
    command = availability._of_registry(versions.Image("node", f"{silent}/node:v1"))
    assert "did not end within 1 s" in availability._answer(command)


@docker
def test_all_that_can_not_be_had_is_told_at_once_with_what_has_it(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kit's versions but for the addresses, at which nobody answers."""
    nodes = {"1.34": {"image": f"{silent}/node:v1.34.0"}}
    images = {role: {"image": f"{silent}/{role}:v1"} for role in versions.table()["images"]}
    operators = {name: {"base": f"http://{silent}/a/{name}//manifests?ref=v1"} for name in operator_manifests.OPERATORS}
    table = versions.table() | {
        "kubernetes": {"default": "1.34", "nodes": nodes},
        "images": images,
        "operators": operators,
    }
    monkeypatch.setattr(versions, "table", lambda: table)
    with pytest.raises(LabError) as caught:
        availability.check("1.34", None)
    for what in (
        f"the image {silent}/node:v1.34.0",
        f"the image {silent}/argoexec:v1",
        "the manifests of argo-workflows",
    ):
        assert what in caught.value.message
    assert "export LABKIT_BUNDLE=DIR" in caught.value.hint


def test_a_bundle_of_another_kubernetes_is_told(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path, {"kubernetes": "1.33", "images": {"node": {"image": "node:1"}}})
    availability.check("1.33", bundle)
    with pytest.raises(LabError, match=r"has Kubernetes 1\.33, not 1\.34"):
        availability.check("1.34", bundle)


@pytest.mark.skipif(not (KIT / ".venv" / "bin" / "python").exists(), reason="needs what `make setup` makes")
def test_ci_says_loudly_that_it_had_no_cluster_and_is_green(tmp_path: Path) -> None:
    for program in ("bash", "dirname", "env"):
        found = shutil.which(program)
        assert found
        (tmp_path / program).symlink_to(found)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LABKIT_")}
    environment |= {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run([KIT / ".ci" / "kind"], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "THE REAL CLUSTER WAS NOT TESTED: there is no docker on the PATH" in done.stdout
