"""What a recorder keeps: as much as is there to be drawn, however long it watches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labkit import show


@pytest.fixture(autouse=True)
def connected(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster))


def pod(number: int, phase: str = "Running") -> dict[str, Any]:
    meta = {"name": f"p{number}", "uid": f"u{number}", "creationTimestamp": "2026-03-01T12:00:00Z"}
    return {"metadata": meta, "spec": {"containers": [{"name": "main"}]}, "status": {"phase": phase}}


def test_of_a_whole_cluster_it_keeps_the_pods_that_are_there() -> None:
    recorder = show.Recorder(everywhere=True)
    for number in range(100):
        recorder._note("ADDED", pod(number))
        recorder._note("DELETED", pod(number))
        recorder._note("ADDED", pod(1000 + number, "Succeeded"))  # it ended before anybody looked
        recorder._note("DELETED", pod(1000 + number, "Succeeded"))
    assert (recorder.history, recorder._others) == ({}, {})
    recorder._list_pods([pod(1), pod(2), pod(3, "Succeeded")])
    recorder._list_pods([pod(2)])  # the others went while the watch was broken
    assert (list(recorder.history), recorder._others) == (["u2"], {})


def test_of_a_namespace_it_keeps_what_the_figure_shows() -> None:
    recorder = show.Recorder()
    recorder._note("ADDED", pod(1))
    recorder._note("DELETED", pod(1))
    assert [each.phase for each in recorder.history.values()] == ["Removed"]
