"""Jobs whose parallelism or completions change while they run, and pods that are replaced only when they have failed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeproc.api_errors import ApiError
from kubeproc.controllers.job import indexes
from kubeproc.resources import JOBS, PODS

from .conftest import Cluster
from .test_job import ago, conditions, job, running, start, status


def change(cluster: Cluster, play: bool = True, **spec: Any) -> None:
    stored = cluster.store.get(JOBS, "default", "j")
    stored["spec"] |= spec
    cluster.store.update(JOBS, stored)
    cluster.play_all() if play else cluster.settle()


def active_indexes(cluster: Cluster) -> list[int | None]:
    return sorted(
        i for p in cluster.pods(lambda p: p["status"]["phase"] == "Running") if (i := indexes.of_pod(p)) is not None
    )


def age(cluster: Cluster, name: str, seconds: float, ready: bool = True) -> None:
    """Make the pod look as if it had been created and ready for so long."""
    pod = cluster.store.get(PODS, "default", name)
    for condition in pod["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition |= {"status": "True" if ready else "False", "lastTransitionTime": ago(seconds)}
    cluster.store.update_status(PODS, pod)


def test_lowering_an_indexed_job_removes_the_highest_indexes(cluster: Cluster) -> None:
    start(cluster, job(completionMode="Indexed", completions=4, parallelism=4))
    change(cluster, completions=2, parallelism=2)
    assert active_indexes(cluster) == [0, 1]
    assert "failed" not in status(cluster)
    for name in running(cluster):
        cluster.finish(name)
    assert (status(cluster)["completedIndexes"], status(cluster)["succeeded"]) == ("0-1", 2)
    assert conditions(cluster)[-1][:2] == ("Complete", "True")


def test_indexes_that_the_job_no_longer_has_do_not_count_as_completed(cluster: Cluster) -> None:
    start(cluster, job(completionMode="Indexed", completions=4, parallelism=4))
    for pod in cluster.pods(lambda p: indexes.of_pod(p) in (1, 3)):
        cluster.finish(pod["metadata"]["name"])
    assert status(cluster)["completedIndexes"] == "1,3"
    change(cluster, completions=3, parallelism=3)
    assert (status(cluster)["completedIndexes"], status(cluster)["succeeded"]) == ("1", 1)
    change(cluster, completions=5, parallelism=5)
    assert active_indexes(cluster) == [0, 2, 3, 4]


def test_lowering_completions_to_what_has_succeeded_completes_the_job(cluster: Cluster) -> None:
    start(cluster, job(completionMode="Indexed", completions=3, parallelism=3))
    cluster.finish(next(p["metadata"]["name"] for p in cluster.pods(lambda p: indexes.of_pod(p) == 0)))
    change(cluster, completions=1, parallelism=1)
    assert conditions(cluster)[-1][:2] == ("Complete", "True")
    assert status(cluster)["succeeded"] == 1
    assert "failed" not in status(cluster)


def test_lowering_parallelism_removes_the_pod_that_has_been_ready_for_the_shortest_time(cluster: Cluster) -> None:
    start(cluster, job(parallelism=3, completions=9))
    first, second, third = running(cluster)
    for name, seconds in ((first, 300), (second, 100), (third, 200)):
        age(cluster, name, seconds)
    change(cluster, parallelism=2)
    assert running(cluster) == [first, third]
    age(cluster, first, 300, ready=False)
    change(cluster, parallelism=1)
    assert running(cluster) == [third]
    assert "failed" not in status(cluster)


def test_a_removed_pod_delays_no_other(cluster: Cluster) -> None:
    start(cluster, job(parallelism=2, completions=4))
    change(cluster, play=False, parallelism=1)
    change(cluster, parallelism=3)
    assert len(running(cluster)) == 3


def test_suspending_a_job_does_not_count_its_pods_as_failed(cluster: Cluster) -> None:
    start(cluster, job(parallelism=2, completions=2, backoffLimit=0))
    change(cluster, suspend=True)
    assert cluster.pods() == []
    assert "failed" not in status(cluster)
    change(cluster, suspend=False)
    assert len(running(cluster)) == 2


@pytest.mark.parametrize(("policy", "counted", "active"), [("Failed", 0, 0), ("TerminatingOrFailed", 1, 0)])
def test_a_terminating_pod_counts_as_failed_by_policy(cluster: Cluster, policy: str, counted: int, active: int) -> None:
    start(cluster, job(podReplacementPolicy=policy))
    name = running(cluster)[0]
    cluster.store.delete(PODS, "default", name, grace=30)
    cluster.settle()
    found = status(cluster)
    assert (found.get("failed", 0), found.get("active", 0)) == (counted, active)
    assert found["terminating"] == 1


def test_a_pod_under_the_policy_failed_is_replaced_when_it_has_ended(cluster: Cluster) -> None:
    start(cluster, job(completionMode="Indexed", completions=1, podReplacementPolicy="Failed"))
    name = running(cluster)[0]
    cluster.store.delete(PODS, "default", name, grace=30)
    cluster.settle()
    assert len(cluster.pods()) == 1, "no second pod with the same index while the first one ends"
    cluster.set_phase(cluster.store.get(PODS, "default", name), "Failed")
    cluster.settle()
    assert status(cluster)["failed"] == 1


def test_two_pods_of_one_index_leave_one(cluster: Cluster) -> None:
    start(cluster, job(completionMode="Indexed", completions=2, parallelism=2))
    first = next(p for p in cluster.pods() if indexes.of_pod(p) == 0)
    age(cluster, first["metadata"]["name"], 60)
    kept = ("labels", "annotations", "ownerReferences", "namespace")
    twin = {"metadata": {"name": "twin"} | {k: first["metadata"][k] for k in kept}}
    cluster.create(PODS, twin | {"spec": job()["spec"]["template"]["spec"]})
    cluster.play_all()
    assert "twin" not in [p["metadata"]["name"] for p in cluster.pods()]
    assert active_indexes(cluster) == [0, 1]


def test_completions_change_only_in_tandem_with_parallelism(cluster: Cluster) -> None:
    start(cluster, job(completionMode="Indexed", completions=4, parallelism=2))
    with pytest.raises(ApiError, match="can only be modified in tandem with"):
        change(cluster, completions=3)
    change(cluster, completions=3, parallelism=3)
    assert active_indexes(cluster) == [0, 1, 2]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4)), max_size=5))
def test_an_elastic_job_runs_each_of_its_indexes_once(begin: int, changes: list[tuple[int, int]]) -> None:
    cluster = Cluster()
    start(cluster, job(completionMode="Indexed", completions=begin, parallelism=begin))
    for size, choice in changes:
        if conditions(cluster):
            break
        names = running(cluster)
        cluster.finish(names[choice % len(names)])
        if conditions(cluster):
            break
        change(cluster, completions=size, parallelism=size)
        done = indexes.parse(status(cluster).get("completedIndexes", ""))
        assert all(i < size for i in done)
        if not conditions(cluster):
            assert active_indexes(cluster) == [i for i in range(size) if i not in done]
    assert "failed" not in status(cluster)
