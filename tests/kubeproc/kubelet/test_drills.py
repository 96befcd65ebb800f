"""`client.kill` on the embedded cluster, isolated and portable: the pod's program, and nobody else's."""

from __future__ import annotations

import pytest

from clusters import Kube
from kubeproc.errors import HintedError
from labkit import client


@pytest.fixture
def here(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> Kube:
    monkeypatch.setenv("KUBECONFIG", str(kube.folder.kubeconfig))
    return kube


def test_a_killed_program_is_started_again(here: Kube) -> None:
    here.pod("pod", ["sleep", "1000"], shareProcessNamespace=True, restartPolicy="Always")
    here.running("pod")
    client.kill("pod", namespace=here.namespace)
    ended = here.until("pod", lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1)
    last = ended["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert last["exitCode"] == 137


def test_a_program_that_can_not_be_reached_is_left_alone_and_so_is_everybody_else(here: Kube) -> None:
    here.pod("pod", ["sleep", "1000"])
    here.running("pod")
    with pytest.raises(HintedError, match="no program to kill") as caught:
        client.kill("pod", namespace=here.namespace)
    assert "shareProcessNamespace" in caught.value.hint
    assert here.get("pod")["status"]["phase"] == "Running"
