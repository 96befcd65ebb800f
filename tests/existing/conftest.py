"""A cluster that somebody else runs, with an account that may work in one namespace: the embedded one, whose RBAC is real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from accounts import SPACE, allow, hand_out
from realkube.programs import Kube


@pytest.fixture(scope="module")
def admin(cluster: Path) -> Kube:
    return Kube(cluster)


@pytest.fixture(scope="module")
def theirs(admin: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of the accounts `student` (has cluster/existing/role.yaml), `maker` (see the tests) and `nobody`."""
    admin("create", "namespace", SPACE)
    path = hand_out(admin, tmp_path_factory.mktemp("theirs") / "config", SPACE, "nobody", "student", "maker")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(path))
        patch.setenv("LABKIT_HOME", str(path.parent / "home"))
        patch.delenv("LABKIT_CLUSTER", raising=False)
        yield path


@pytest.fixture
def maker(admin: Kube, theirs: Path) -> Iterator[object]:
    """Gives the account `maker` the rules that it is called with."""
    yield lambda rules: allow(admin, SPACE, "maker", rules)
    admin("delete", "role,rolebinding", "may-maker", "-n", SPACE, "--ignore-not-found")
