"""The embedded cluster answers every case as the real one did, but for what differences.yaml lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeproc.network import mode

from . import golden
from .normal import differences
from .registry import load


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", sorted(load()))
def test_the_embedded_cluster_answers_as_the_real_one_did(
    case: str, answers: Callable[[str], Any], network: str
) -> None:
    if case.startswith("network/") and network != mode.PODS:
        pytest.skip("pods share this machine's network here")
    found = answers(case)
    recorded = golden.load()
    known = golden.accepted(case, network)
    differing = list(differences(recorded[case], found))
    new = [d for d in differing if not any(golden.covers(entry, d[0]) for entry in known)]
    assert not new, "\n" + "\n".join(f"{path}\n  real:  {real!r}\n  found: {mine!r}" for path, real, mine in new)
    gone = [e["field"] for e in known if not any(golden.covers(e, path) for path, *_ in differing)]
    assert not gone, f"differences.yaml lists what is no longer so: {gone}"


def test_every_listed_difference_has_a_case_and_a_reason() -> None:
    every = load()
    for entry in golden.known():
        assert entry["case"] in every, entry
        assert entry["field"], entry
        assert len(entry["why"]) > 10, entry


def test_no_answer_is_kept_of_a_case_that_is_gone() -> None:
    assert set(golden.load()) == set(load())
