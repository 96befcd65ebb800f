"""Retry, resubmit, suspend, resume, stop, terminate, set."""

from __future__ import annotations

import pytest
from play import Object, Play, container, display

from kubeproc.argo.workflow import actions
from kubeproc.argo.workflow.actions import Refused
from kubeproc.resources import PODS, WORKFLOWS


def pipeline(**more: object) -> Object:
    steps = [[{"name": n, "template": "work"}] for n in "abc"]
    return {"entrypoint": "main", "templates": [{"name": "main", "steps": steps}, container("work")], **more}


def fails(name: str):
    return lambda pod: 1 if display(pod) == name else 0


def test_retry_runs_what_failed_and_what_comes_after_it() -> None:
    play = Play(pipeline(shutdown="")).run(fails("b"))
    kept = play.nodes["[0].a"]
    actions.retry(play.store, play.workflow, {})
    meta = play.workflow["metadata"]
    assert meta["labels"]["workflows.argoproj.io/action"] == "Retry"
    assert "workflows.argoproj.io/completed" not in meta["labels"]
    assert play.phases() == {"": "Running", "[0]": "Succeeded", "[0].a": "Succeeded", "[1]": "Running"}
    assert play.store.find(PODS, "default", f"{play.name}-work-{kept['id'].rsplit('-', 1)[1]}") is not None
    play.order.clear()
    play.run()
    assert play.phase == "Succeeded"
    assert play.order == ["[1].b", "[2].c"]
    assert play.nodes["[0].a"] == kept
    assert {c["type"]: c["status"] for c in play.status["conditions"]}["Completed"] == "True"


def test_retry_of_a_dag_keeps_the_other_branch() -> None:
    tasks = [
        {"name": "a", "template": "work"},
        {"name": "b", "template": "work", "depends": "a"},
        {"name": "c", "template": "work", "depends": "a"},
        {"name": "d", "template": "work", "depends": "b && c"},
    ]
    templates = [{"name": "main", "dag": {"tasks": tasks}}, container("work")]
    play = Play({"entrypoint": "main", "templates": templates}).run(fails("b"))
    assert play.phase == "Failed"
    play.order.clear()
    actions.retry(play.store, play.workflow, {})
    play.run()
    assert (play.phase, play.order) == ("Succeeded", [".b", ".d"])


def test_retry_of_retried_attempts_restarts_them() -> None:
    templates = [
        {"name": "main", "steps": [[{"name": "a", "template": "work"}]]},
        container("work", retryStrategy={"limit": 1}),
    ]
    play = Play({"entrypoint": "main", "templates": templates}).run(fails("a"))
    play.order.clear()
    actions.retry(play.store, play.workflow, {})
    play.run()
    assert play.phase == "Succeeded"
    assert play.order


def test_retry_of_what_succeeded_needs_a_selector() -> None:
    play = Play(pipeline()).run()
    with pytest.raises(Refused, match="To retry a succeeded workflow, set the options"):
        actions.retry(play.store, play.workflow, {})
    play.order.clear()
    actions.retry(play.store, play.workflow, {"restartSuccessful": True, "nodeFieldSelector": "displayName=b"})
    play.run()
    assert (play.phase, play.order) == ("Succeeded", ["[1].b", "[2].c"])


def test_a_running_workflow_is_not_retried() -> None:
    play = Play(pipeline())
    play.settle()
    with pytest.raises(Refused, match="Cannot retry a workflow in phase Running"):
        actions.retry(play.store, play.workflow, {})


def test_resubmit_makes_a_new_workflow_with_other_parameters() -> None:
    play = Play(pipeline(arguments={"parameters": [{"name": "p", "value": "1"}, {"name": "q", "value": "2"}]})).run()
    made = actions.resubmit(play.store, play.workflow, {"parameters": ["q=9"]})
    assert made["metadata"]["name"].startswith(f"{play.name}-")
    assert made["metadata"]["labels"] == {"workflows.argoproj.io/resubmitted-from-workflow": play.name}
    assert made["spec"]["arguments"]["parameters"] == [{"name": "q", "value": "9"}, {"name": "p", "value": "1"}]
    assert "status" not in made


def test_a_memoized_resubmission_runs_only_what_failed() -> None:
    play = Play(pipeline()).run(fails("b"))
    made = actions.resubmit(play.store, play.workflow, {"memoized": True})
    again = Play.__new__(Play)
    again.store, again.name, again.order = play.store, made["metadata"]["name"], []
    again.run()
    assert (again.phase, again.order) == ("Succeeded", ["[1].b", "[2].c"])
    kept = again.nodes["[0].a"]
    assert kept["type"] == "Skipped"
    assert kept["message"] == f"original pod: {play.nodes['[0].a']['id']}"


def test_suspend_and_resume() -> None:
    play = Play(pipeline())
    play.settle()
    actions.suspend(play.store, play.workflow, {})
    play.end(play.pods()[0])
    play.settle()
    assert play.pods() == []
    actions.resume(play.store, play.workflow, {})
    assert "suspend" not in play.workflow["spec"]
    assert play.run().phase == "Succeeded"
    with pytest.raises(Refused, match="cannot suspend completed workflows"):
        actions.suspend(play.store, play.workflow, {})
    assert actions.resume(play.store, play.workflow, {}) == play.workflow


def waiting() -> Play:
    outputs = {"parameters": [{"name": "answer", "valueFrom": {"supplied": {}, "default": "no"}, "globalName": "g"}]}
    ask = {"name": "ask", "suspend": {}, "outputs": outputs}
    take = container("take", inputs={"parameters": [{"name": "p"}]})
    given = {"parameters": [{"name": "p", "value": "{{steps.ask.outputs.parameters.answer}}"}]}
    steps = [[{"name": "ask", "template": "ask"}], [{"name": "b", "template": "take", "arguments": given}]]
    play = Play({"entrypoint": "main", "templates": [{"name": "main", "steps": steps}, ask, take]})
    play.settle()
    return play


def test_resuming_a_node_uses_its_defaults() -> None:
    play = waiting()
    actions.resume(play.store, play.workflow, {"user": "ann"})
    play.run()
    assert play.nodes["[1].b"]["inputs"]["parameters"] == [{"name": "p", "value": "no"}]
    assert play.nodes["[0].ask"]["message"] == "Resumed by: ann"


def test_supplied_outputs_are_set() -> None:
    play = waiting()
    selector = {"nodeFieldSelector": "displayName=ask"}
    with pytest.raises(Refused, match="node is not expecting output parameter 'other'"):
        actions.set_(play.store, play.workflow, {**selector, "outputParameters": '{"other": "1"}'})
    actions.set_(play.store, play.workflow, {**selector, "outputParameters": '{"answer": "yes"}', "message": "m"})
    assert play.status["outputs"]["parameters"] == [{"name": "g", "value": "yes"}]
    actions.resume(play.store, play.workflow, selector)
    play.run()
    assert play.nodes["[1].b"]["inputs"]["parameters"] == [{"name": "p", "value": "yes"}]
    assert play.nodes["[0].ask"]["message"] == "m"


def test_what_no_node_matches_is_refused() -> None:
    play = waiting()
    with pytest.raises(Refused, match="no suspend nodes matching nodeFieldSelector: displayName=x"):
        actions.resume(play.store, play.workflow, {"nodeFieldSelector": "displayName=x"})
    with pytest.raises(Refused, match="use a node field selector"):
        actions.set_(play.store, play.workflow, {})


def test_a_selected_node_is_stopped() -> None:
    play = waiting()
    actions.stop(play.store, play.workflow, {"nodeFieldSelector": "displayName=ask", "message": "no time"})
    play.run()
    assert play.phase == "Failed"
    assert play.nodes["[0].ask"]["message"] == "no time"


@pytest.mark.parametrize(("act", "strategy"), [(actions.stop, "Stop"), (actions.terminate, "Terminate")])
def test_a_workflow_is_shut_down(act, strategy: str) -> None:
    play = Play(pipeline())
    play.settle()
    act(play.store, play.workflow, {})
    assert play.workflow["spec"]["shutdown"] == strategy
    play.settle()
    assert play.message == f"Stopped with strategy '{strategy}'"
    with pytest.raises(Refused, match=f'cannot shutdown a completed workflow: workflow: "{play.name}"'):
        act(play.store, play.store.get(WORKFLOWS, "default", play.name), {})
