"""Jobs: counting, limits, conditions, indexes and suspension, with the test as kubelet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeproc.controllers import job as jobs
from kubeproc.controllers.job import indexes
from kubeproc.resources import JOBS, NAMESPACES, PODS

from .conftest import IMAGE, Cluster


def job(name: str = "j", restart: str = "Never", **spec: Any) -> dict[str, Any]:
    pod = {"restartPolicy": restart, "containers": [{"name": "main", "image": IMAGE}]}
    return {"metadata": {"name": name}, "spec": {"template": {"spec": pod}, **spec}}


def start(cluster: Cluster, body: dict[str, Any]) -> None:
    cluster.create(JOBS, body)
    cluster.play_all()


def status(cluster: Cluster, name: str = "j") -> dict[str, Any]:
    return cluster.store.get(JOBS, "default", name)["status"]


def conditions(cluster: Cluster) -> list[tuple[str, str, str]]:
    return [(c["type"], c["status"], c["reason"]) for c in status(cluster).get("conditions", [])]


def running(cluster: Cluster) -> list[str]:
    return [p["metadata"]["name"] for p in cluster.pods(lambda p: p["status"]["phase"] == "Running")]


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def forget_delay(cluster: Cluster) -> None:
    """Let the failures lie an hour back."""
    for pod in cluster.pods(lambda p: p["status"]["phase"] == "Failed"):
        for container in pod["status"]["containerStatuses"]:
            container["state"]["terminated"]["finishedAt"] = ago(3600)
        cluster.store.update_status(PODS, pod)
    cluster.play_all()


def test_a_job_completes_with_its_conditions_in_order(cluster: Cluster) -> None:
    start(cluster, job())
    assert status(cluster)["active"] == 1
    cluster.finish(running(cluster)[0])
    done = ("CompletionsReached",)
    assert conditions(cluster) == [("SuccessCriteriaMet", "True", *done), ("Complete", "True", *done)]
    assert status(cluster)["succeeded"] == 1
    assert status(cluster)["completionTime"]
    assert "active" not in status(cluster)
    assert ("Normal", "Completed", "Job completed") in cluster.events("j")
    assert "finalizers" not in cluster.pods()[0]["metadata"]


def test_failures_beyond_the_limit_fail_the_job(cluster: Cluster) -> None:
    start(cluster, job(backoffLimit=1))
    cluster.finish(running(cluster)[0], code=1)
    assert running(cluster) == []  # the next one waits 10 s
    stored = cluster.store.get(JOBS, "default", "j")
    assert 5 < (jobs.reconcile(stored, cluster.store) or 0) <= 10
    forget_delay(cluster)
    cluster.finish(running(cluster)[0], code=1)
    why = "BackoffLimitExceeded"
    assert conditions(cluster) == [("FailureTarget", "True", why), ("Failed", "True", why)]
    assert status(cluster)["failed"] == 2
    assert "completionTime" not in status(cluster)
    assert ("Warning", why, "Job has reached the specified backoff limit") in cluster.events("j")


def test_the_delay_doubles_with_each_failure_and_a_success_resets_it(cluster: Cluster) -> None:
    start(cluster, job(backoffLimit=6, completions=5))
    for expected in (10, 20, 40):
        forget_delay(cluster)
        cluster.finish(running(cluster)[0], code=1)
        wait = jobs.reconcile(cluster.store.get(JOBS, "default", "j"), cluster.store) or 0
        assert expected - 3 < wait <= expected
    forget_delay(cluster)
    cluster.finish(running(cluster)[0])
    cluster.play_all()
    assert len(running(cluster)) == 1


def test_restarts_in_place_count_under_on_failure(cluster: Cluster) -> None:
    start(cluster, job(restart="OnFailure", backoffLimit=2))
    cluster.set_phase(cluster.pods()[0], "Running", restarts=2)
    cluster.settle()
    assert conditions(cluster) == [("FailureTarget", "True", "BackoffLimitExceeded")]
    cluster.play_all()
    assert conditions(cluster)[-1] == ("Failed", "True", "BackoffLimitExceeded")
    assert cluster.pods() == []


def test_the_deadline_ends_running_pods(cluster: Cluster) -> None:
    start(cluster, job(activeDeadlineSeconds=30))
    stored = cluster.store.get(JOBS, "default", "j")
    assert 20 < (jobs.reconcile(stored, cluster.store) or 0) <= 30
    stored["status"]["startTime"] = ago(31)
    cluster.store.update_status(JOBS, stored)
    cluster.play_all()
    assert conditions(cluster) == [
        ("FailureTarget", "True", "DeadlineExceeded"),
        ("Failed", "True", "DeadlineExceeded"),
    ]


def test_a_deleted_pod_is_counted_once(cluster: Cluster) -> None:
    start(cluster, job())
    cluster.store.delete(PODS, "default", running(cluster)[0])
    cluster.play_all()
    assert status(cluster)["failed"] == 1
    assert conditions(cluster) == []


def test_an_indexed_job_gives_each_pod_its_index(cluster: Cluster) -> None:
    start(cluster, job(completionMode="Indexed", completions=3, parallelism=2))
    label = "batch.kubernetes.io/job-completion-index"
    assert sorted(p["metadata"]["labels"][label] for p in cluster.pods()) == ["0", "1"]
    pod = cluster.pods()[0]
    assert pod["metadata"]["name"].startswith("j-0-")
    assert pod["spec"]["hostname"] == "j-0"
    (variable,) = pod["spec"]["containers"][0]["env"]
    assert variable["name"] == "JOB_COMPLETION_INDEX"
    while names := running(cluster):
        cluster.finish(names[-1])
        cluster.play_all()
    assert status(cluster)["completedIndexes"] == "0-2"
    assert conditions(cluster)[-1][0] == "Complete"


def test_suspend_deletes_the_pods_and_resume_makes_new_ones(cluster: Cluster) -> None:
    start(cluster, job(parallelism=2, completions=2))
    stored = cluster.store.get(JOBS, "default", "j")
    stored["spec"]["suspend"] = True
    cluster.store.update(JOBS, stored)
    cluster.play_all()
    assert cluster.pods() == []
    assert conditions(cluster) == [("Suspended", "True", "JobSuspended")]
    assert "startTime" not in status(cluster)
    stored = cluster.store.get(JOBS, "default", "j")
    stored["spec"]["suspend"] = False
    cluster.store.update(JOBS, stored)
    cluster.play_all()
    assert conditions(cluster) == [("Suspended", "False", "JobResumed")]
    assert len(running(cluster)) == 2


def test_a_work_queue_ends_with_the_first_success_and_the_last_pod(cluster: Cluster) -> None:
    start(cluster, job(parallelism=3))
    first, *others = running(cluster)
    cluster.finish(first)
    cluster.play_all()
    assert len(running(cluster)) == 2
    for name in others:
        cluster.finish(name)
    assert conditions(cluster)[-1][0] == "Complete"


def test_a_finished_job_goes_after_its_time_to_live(cluster: Cluster) -> None:
    start(cluster, job(ttlSecondsAfterFinished=10))
    cluster.finish(running(cluster)[0])
    stored = cluster.store.get(JOBS, "default", "j")
    for condition in stored["status"]["conditions"]:
        condition["lastTransitionTime"] = ago(11)
    cluster.store.update_status(JOBS, stored)
    cluster.play_all()
    assert cluster.store.find(JOBS, "default", "j") is None
    assert cluster.pods() == []


@pytest.mark.parametrize(("text", "numbers"), [("", set()), ("0-2,5", {0, 1, 2, 5}), ("3", {3})])
def test_indexes_are_read(text: str, numbers: set[int]) -> None:
    assert indexes.parse(text) == numbers


@given(st.sets(st.integers(0, 200)))
def test_indexes_are_written_and_read_back(numbers: set[int]) -> None:
    assert indexes.parse(indexes.write(numbers)) == numbers


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 4), st.booleans(), st.lists(st.booleans(), max_size=8))
def test_a_job_never_runs_too_many_pods_and_counts_every_one(
    completions: int, parallelism: int, indexed: bool, outcomes: list[bool]
) -> None:
    cluster = Cluster()
    mode = "Indexed" if indexed else "NonIndexed"
    start(cluster, job(completions=completions, parallelism=parallelism, completionMode=mode, backoffLimit=100))
    good = bad = 0
    for outcome in [*outcomes, *[True] * completions]:
        names = running(cluster)
        assert len(names) <= min(parallelism, completions - good)
        if not names:
            break
        cluster.finish(names[0], code=0 if outcome else 1)
        good, bad = good + outcome, bad + (not outcome)
        forget_delay(cluster)
        assert (status(cluster).get("succeeded", 0), status(cluster).get("failed", 0)) == (good, bad)
    assert good == completions
    assert conditions(cluster)[-1][:2] == ("Complete", "True")


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
def test_a_job_that_is_deleted_keeps_no_pod(cluster: Cluster, policy: str) -> None:
    start(cluster, job(parallelism=2))
    cluster.store.delete(JOBS, "default", "j", policy=policy)
    cluster.play_all()
    assert cluster.store.find(JOBS, "default", "j") is None
    left = cluster.pods()
    assert len(left) == (2 if policy == "Orphan" else 0)
    for pod in left:
        assert "finalizers" not in pod["metadata"], "orphans can be deleted"


def test_a_namespace_goes_with_a_job_that_runs_in_it(cluster: Cluster) -> None:
    cluster.store.create(NAMESPACES, {"metadata": {"name": "n"}})
    cluster.create(JOBS, job() | {"metadata": {"name": "j", "namespace": "n"}})
    cluster.play_all()
    assert running(cluster)
    cluster.store.delete(NAMESPACES, "", "n")
    cluster.play_all()
    assert cluster.pods() == []
    assert cluster.store.find(NAMESPACES, "", "n") is None


def test_a_finalizer_of_another_controllers_pod_is_left_alone(cluster: Cluster) -> None:
    pod = cluster.pod("a")
    other = {"apiVersion": "example.com/v1", "kind": "Job", "name": "x", "uid": "1", "controller": True}
    pod["metadata"] |= {"finalizers": ["batch.kubernetes.io/job-tracking"], "ownerReferences": [other]}
    cluster.create(PODS, pod)
    assert cluster.pods()[0]["metadata"]["finalizers"]
