"""The real cluster answers as it did when it was recorded: some cases of each kind, in a minute or two.

Asked of a cluster that is there: `pytest tests/conformance -m kind --against KUBECONFIG`. What the golden answers say is
then known to be so of this Kubernetes and these operators, and not only of those of the day. `--every` asks all cases, a
quarter of an hour.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from . import golden
from .conftest import PATIENCE, forwarded, running
from .lab import Engine
from .normal import differences
from .registry import load

SMOKE = {
    "pods": ["succeeds", "as_created", "fails_with_code", "image_never_pulled", "expansion", "unschedulable"],
    "workloads": ["deployment_as_created", "deployment_rolls_out", "job_completes", "job_fails"],
    "cluster": ["service_as_created", "explained", "asked_whether_allowed", "outputs_of_get"],
    "refusals": ["pod_names", "pod_fields", "conflicts", "merge_patches", "not_found", "field_validation"],
    "network": ["ready_and_unready_pods", "a_service_answers", "a_training_with_servers"],
    "tfjobs": ["refused", "as_created", "succeeds", "fails"],
    "workflows": ["one_container", "dag", "fails", "retries", "invalid"],
}

pytestmark = [pytest.mark.kind, pytest.mark.timeout(900)]


def cases(config: pytest.Config) -> list[str]:
    some = [f"{module}/{name}" for module, names in SMOKE.items() for name in names]
    return list(load()) if config.getoption("--every") else some


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("case", cases(metafunc.config))


@pytest.fixture(scope="module")
def futures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the real cluster answers to each case, all asked together."""
    against = request.config.getoption("--against")
    if not against:
        pytest.skip("no real cluster was named: --against KUBECONFIG")
    every = load()
    with forwarded(Path(against)) as argo:
        engine = Engine(Path(against), argo, tmp_path_factory.mktemp("cache"), PATIENCE)
        with running(engine, {name: every[name] for name in cases(request.config)}) as asked:
            yield asked


def test_the_real_cluster_answers_as_it_did(case: str, futures: dict[str, Future[Any]]) -> None:
    ask: Callable[[], Any] = futures[case].result
    found = list(differences(golden.load()[case], ask()))
    assert not found, "\n" + "\n".join(
        f"{path}\n  recorded: {before!r}\n  now:      {now!r}" for path, before, now in found
    )
