"""The controller around the nodes: volumes, clearing away, events, the cost of a pass, and specs that are none."""

from __future__ import annotations

import time

import pytest
from play import Object, Play, container, dag, task, workflow

from kubeproc.argo.templates import node_names
from kubeproc.resources import CLAIMS, EVENTS, PODS, WORKFLOWS


def test_claims_are_made_mounted_and_deleted() -> None:
    claim = {"metadata": {"name": "work"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    template = container()
    template["container"]["volumeMounts"] = [{"name": "work", "mountPath": "/work"}]
    play = Play(workflow(template, volumeClaimTemplates=[claim]))
    play.settle()
    name = f"{play.name}-work"
    assert play.store.get(CLAIMS, "default", name)["metadata"]["ownerReferences"][0]["name"] == play.name
    wanted = [{"name": "work", "persistentVolumeClaim": {"claimName": name}}]
    assert play.pods()[0]["spec"]["volumes"] == wanted
    play.run()
    assert play.store.find(CLAIMS, "default", name) is None


def test_an_unknown_volume_is_an_error_of_the_node() -> None:
    template = container()
    template["container"]["volumeMounts"] = [{"name": "none", "mountPath": "/x"}]
    play = Play(workflow(template)).run()
    assert play.phase == "Error"
    assert play.message == "error in entry template execution: volume 'none' not found in workflow spec"


def test_sidecars_end_with_main_and_metadata_reaches_the_pod() -> None:
    template = container(
        sidecars=[{"name": "side", "image": "busybox"}], metadata={"labels": {"a": "1"}, "annotations": {"b": "2"}}
    )
    play = Play(workflow(template, podMetadata={"labels": {"c": "3"}}, podSpecPatch='{"priorityClassName": "high"}'))
    play.settle()
    pod = play.pods()[0]
    assert pod["spec"]["initContainers"][0] | {"env": []} == {
        "name": "side", "image": "busybox", "restartPolicy": "Always", "env": []
    }  # fmt: skip
    labels, annotations = pod["metadata"]["labels"], pod["metadata"]["annotations"]
    assert (labels["a"], labels["c"], annotations["b"]) == ("1", "3", "2")
    assert pod["spec"]["priorityClassName"] == "high"


def test_pods_that_are_done_with_are_labelled_or_deleted() -> None:
    play = Play(workflow(container())).run()
    assert play.store.get(PODS, "default", play.name)["metadata"]["labels"][node_names.COMPLETED_LABEL] == "true"
    play = Play(workflow(container(), podGC={"strategy": "OnPodCompletion", "deleteDelayDuration": "0s"})).run()
    assert play.store.find(PODS, "default", play.name) is None
    play = Play(workflow(container(), podGC={"strategy": "OnWorkflowSuccess", "deleteDelayDuration": "30s"}))
    again = play.run().settle()
    assert again is not None
    assert 25 < again <= 30
    assert play.store.find(PODS, "default", play.name)


def test_a_workflow_expires() -> None:
    play = Play(workflow(container(), ttlStrategy={"secondsAfterSuccess": 60, "secondsAfterFailure": 1}))
    again = play.run().settle()
    assert again is not None
    assert 55 < again <= 60
    play.store.modify(WORKFLOWS, "default", play.name, lambda w: w["status"].update(finishedAt="2020-01-01T00:00:00Z"))
    play.reconcile()
    assert play.store.find(WORKFLOWS, "default", play.name) is None


def test_what_happens_is_recorded_as_events() -> None:
    play = Play(workflow(container())).run(lambda pod: 1)
    told = [(e["type"], e["reason"]) for e in play.store.list(EVENTS)]
    assert ("Normal", "WorkflowRunning") in told
    assert ("Warning", "WorkflowFailed") in told
    assert ("Warning", "WorkflowNodeFailed") in told


def test_a_pass_without_news_writes_nothing() -> None:
    play = Play(workflow(dag(task("a"), task("b", "a"), task("l", withItems=[1, 2])), container("work")))
    play.settle()
    version = play.store.version
    play.reconcile()
    assert play.store.version == version


def test_hundred_tasks_cost_little_each() -> None:

    play = Play(workflow(dag(*[task(f"t{i}", f"t{i - 1}" if i else "") for i in range(100)]), container("work")))
    begin, passes = time.process_time(), 0
    spent = 0.0
    while play.phase in ("", "Running"):
        begin = time.process_time()
        play.reconcile()
        spent, passes = spent + time.process_time() - begin, passes + 1
        for pod in play.pods():
            play.end(pod)
    assert play.phase == "Succeeded"
    assert passes < 210
    assert spent / 100 < 0.05


@pytest.mark.parametrize(
    "spec",
    [
        {"entrypoint": "main", "templates": "none"},
        {"entrypoint": "main", "templates": [{"name": "main", "steps": "x"}]},
        {"entrypoint": "main", "templates": [{"name": "main", "dag": {"tasks": [1]}}]},
        {"entrypoint": "main", "templates": [{"name": "main", "container": "x"}]},
        {"entrypoint": "main", "templates": [container()], "arguments": {"parameters": "p"}},
        {"entrypoint": ["main"], "templates": [container()]},
        {"entrypoint": "main", "templates": [container()], "podGC": "x"},
        {"entrypoint": "main", "templates": [container(retryStrategy="x")]},
    ],
)
def test_what_is_not_shaped_as_a_workflow_is_failed(spec: Object) -> None:
    play = Play(spec)
    play.settle()
    assert play.phase in ("Failed", "Error")
    assert play.message
    play.reconcile()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"entrypoint": 5}, "cannot convert int64 to string"),
        ({"parallelism": "two"}, "unrecognized type: int64"),
        ({"suspend": "yes"}, "unrecognized type: bool"),
        ({"templates": {"name": "main"}}, "cannot restore slice from map"),
        ({"templates": [{"name": "main", "container": {"args": "x"}}]}, "cannot restore slice from string"),
        ({"templates": [{"name": "main", "container": "x"}]}, "cannot restore struct from: string"),
    ],
)
def test_a_field_of_the_wrong_type_fails_the_workflow_in_the_words_of_argo(wrong: Object, words: str) -> None:
    play = Play(workflow(container("main")) | wrong)
    play.settle()
    assert (play.phase, play.message) == ("Failed", f"cannot unmarshall spec: {words}")
    assert play.nodes == {}
