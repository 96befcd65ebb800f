"""A pod's class of service."""

from __future__ import annotations

from typing import Any

import pytest

from kubeproc.qos import quality

BOTH = {"cpu": "1", "memory": "1Gi"}


def container(limits: Any = None, requests: Any = None) -> dict[str, Any]:
    return {"name": "c", "resources": {"limits": limits, "requests": requests}}


@pytest.mark.parametrize(("containers", "wanted"), [
    ([{"name": "bare"}], "BestEffort"),
    ([container()], "BestEffort"),
    ([container({"nvidia.com/gpu": "1"})], "BestEffort"),
    ([container(requests={"cpu": "0"})], "BestEffort"),
    ([container(requests={"cpu": "1m"})], "Burstable"),
    ([container(BOTH)], "Guaranteed"),
    ([container(BOTH, {"cpu": "1000m", "memory": "1024Mi"})], "Guaranteed"),
    ([container(BOTH, BOTH | {"memory": "512Mi"})], "Burstable"),
    ([container(BOTH, {"cpu": "0"})], "Burstable"),
    ([container({"cpu": "1"})], "Burstable"),
    ([container(BOTH), container()], "Burstable"),
])  # fmt: skip
def test_the_class_follows_from_requests_and_limits(containers: list[dict[str, Any]], wanted: str) -> None:
    assert quality({"containers": containers}) == wanted


def test_containers_that_run_before_the_others_count() -> None:
    assert (
        quality({"initContainers": [container(requests={"cpu": "1"})], "containers": [container(BOTH)]}) == "Burstable"
    )
