"""What holds a workflow back or ends it: parallelism, suspension, deadlines, shutdown, exit handlers."""

from __future__ import annotations

import json

import pytest
from play import Play, container, dag, steps, task, workflow

from kubeproc.argo.templates import node_names
from kubeproc.resources import WORKFLOWS


def test_parallelism_bounds_the_pods_of_the_workflow() -> None:
    tasks = [task(f"t{i}") for i in range(5)]
    play = Play(workflow(dag(*tasks), container("work"), parallelism=2))
    most = 0
    for _ in range(10):
        play.settle()
        most = max(most, len(play.pods()))
        if not play.pods():
            break
        play.end(play.pods()[0])
    assert (play.phase, most) == ("Succeeded", 2)


def test_parallelism_of_a_template_bounds_its_children() -> None:
    loop = {"name": "a", "template": "work", "withSequence": {"count": 3}}
    play = Play(workflow(steps([loop], parallelism=1), container("work")))
    play.settle()
    assert len(play.pods()) == 1
    assert play.run().phase == "Succeeded"
    assert len(play.order) == 3


def test_fail_fast_starts_nothing_more() -> None:
    loop = {"name": "a", "template": "work", "withSequence": {"count": 3}}
    play = Play(workflow(steps([loop], parallelism=1, failFast=True), container("work"))).run(lambda pod: 1)
    assert play.phase == "Failed"
    assert len(play.order) == 1
    assert play.message == "template has failed or errored children and failFast enabled"


def test_a_suspended_workflow_starts_nothing() -> None:
    play = Play(workflow(container(), suspend=True))
    play.settle()
    assert play.pods() == []
    assert play.phase == "Running"
    play.store.modify(WORKFLOWS, "default", play.name, lambda w: w["spec"].pop("suspend") and None)
    assert play.run().phase == "Succeeded"


def test_a_suspend_template_waits_for_its_duration() -> None:
    play = Play(workflow({"name": "main", "suspend": {"duration": "1"}}))
    again = play.settle()
    assert play.nodes[""]["type"] == "Suspend"
    assert play.nodes[""]["phase"] == "Running"
    assert again is not None
    assert 0 < again <= 1.1
    then = "2020-01-01T00:00:00Z"
    play.store.modify(WORKFLOWS, "default", play.name, lambda w: w["status"]["nodes"][play.name].update(startedAt=then))
    play.settle()
    assert play.phase == "Succeeded"


@pytest.mark.parametrize(("strategy", "exits"), [("Stop", True), ("Terminate", False)])
def test_shutdown_ends_pods_and_spares_the_exit_handler_only_on_stop(strategy: str, exits: bool) -> None:
    play = Play(workflow(dag(task("a"), task("b", "a")), container("work"), container("bye"), onExit="bye"))
    play.settle()
    pod = play.pods()[0]
    play.start(pod)
    play.settle()
    play.store.modify(WORKFLOWS, "default", play.name, lambda w: w["spec"].update(shutdown=strategy))
    play.settle()
    node = play.nodes[".a"]
    assert (node["phase"], node["message"]) == ("Failed", f"workflow shutdown with strategy:  {strategy}")
    assert play.pod_again(pod)["spec"]["activeDeadlineSeconds"] == 1
    play.end(play.pod_again(pod), 143)
    play.run()
    assert (play.phase, play.message) == ("Failed", f"Stopped with strategy '{strategy}'")
    assert (".onExit" in play.nodes) is exits


def test_the_workflows_deadline_ends_what_runs() -> None:
    play = Play(workflow(steps([{"name": "a", "template": "work"}]), container("work"), activeDeadlineSeconds=100))
    again = play.settle()
    assert again is not None
    assert 98 < again < 101
    pod = play.pods()[0]
    assert 98 <= pod["spec"]["activeDeadlineSeconds"] <= 100
    play.start(pod)
    play.store.modify(WORKFLOWS, "default", play.name, lambda w: w["status"].update(startedAt="2020-01-01T00:00:00Z"))
    play.settle()
    assert play.nodes["[0].a"]["message"] == "Step exceeded its deadline"
    assert play.phase == "Failed"


def test_the_exit_handler_knows_the_status_and_the_failures() -> None:
    bye = container("bye")
    bye["container"] |= {"args": ["{{workflow.status}}", "{{workflow.failures}}", "{{workflow.duration}}"]}
    play = Play(workflow(steps([{"name": "a", "template": "work"}]), container("work"), bye, onExit="bye"))
    play.settle()
    play.end(play.pods()[0], 1)
    play.settle()
    (pod,) = play.pods()
    assert pod["metadata"]["labels"]["workflows.argoproj.io/on-exit"] == "true"
    status, failures, seconds = pod["spec"]["containers"][1]["args"]
    assert status == "Failed"
    assert float(seconds) >= 0
    told = {failure["displayName"]: failure["message"] for failure in json.loads(json.loads(failures))}
    assert told["a"] == "main: Error (exit code 1)"
    play.run()
    assert play.phase == "Failed"
    assert play.nodes[".onExit"]["nodeFlag"] == {"hooked": True}


def test_a_failed_exit_handler_fails_a_workflow_that_succeeded() -> None:
    play = Play(workflow(container(), container("bye"), onExit="bye"))
    play.run(lambda pod: pod["metadata"]["annotations"][node_names.NODE_NAME].endswith("onExit"))
    assert (play.phase, play.message) == ("Failed", "main: Error (exit code 1)")


def test_endless_recursion_is_ended() -> None:
    again = {"name": "again", "template": "main"}
    play = Play(workflow(steps([again])))
    play.settle()
    assert play.phase in ("Failed", "Error")
    deepest = max(play.nodes.values(), key=lambda node: len(node["name"]))
    assert deepest["message"].startswith("Maximum recursion depth exceeded.")
