"""Loops in whole workflows: their names, values and gathered results, and that nothing starts where one can't be made."""

from __future__ import annotations

import pytest
from play import Play, container, dag, display, env, script, steps, workflow

from kubeproc.argo.templates import node_names

PARAM = '[{"lr": 1e-05, "decay": 1.0}, {"lr": 2, "decay": null}]'


def worker(text: str) -> dict:
    """A template with one parameter, which its container's environment shows."""
    return container("work", inputs={"parameters": [{"name": "x"}]}) | {
        "container": {"image": "busybox", "command": ["true"], "env": [{"name": "X", "value": text}]}
    }


def call(value: str, **more: object) -> dict:
    return {"name": "each", "template": "work", "arguments": {"parameters": [{"name": "x", "value": value}]}, **more}


def shapes(step: dict) -> list[dict]:
    """The workflow with the loop as a step, and as a task."""
    work = worker("{{inputs.parameters.x}}")
    return [workflow(steps([step]), work), workflow(dag(step), work)]


@pytest.mark.parametrize("spec", shapes(call("{{item.lr}} {{item.decay}} {{item}}", withParam=PARAM)))
def test_numbers_keep_their_text_in_names_and_values(spec: dict) -> None:
    play = Play(spec)
    play.settle()
    found = [env(pod["spec"]["containers"][-1])["X"] for pod in play.pods()]
    assert sorted(found) == ['1e-05 1.0 {"decay":1.0,"lr":1e-05}', '2 null {"decay":null,"lr":2}']
    shown = sorted(node["displayName"] for node in play.nodes.values() if node["type"] == "Pod")
    assert shown == ["each(0:decay:1.0,lr:1e-05)", "each(1:decay:null,lr:2)"]


@pytest.mark.parametrize("spec", shapes(call("<{{item}}>", withParam="[null, true, 1E3]")))
def test_null_is_an_item(spec: dict) -> None:
    play = Play(spec)
    play.settle()
    assert sorted(env(pod["spec"]["containers"][-1])["X"] for pod in play.pods()) == ["<1E3>", "<null>", "<true>"]


@pytest.mark.parametrize("spec", shapes(call("{{item.a}}", withItems=[{"a": 1}, {"a": 2}, {"b": 3}])))
def test_an_item_that_cannot_be_resolved_makes_no_pod(spec: dict) -> None:
    play = Play(spec)
    play.settle()
    assert not play.pods()
    assert not [node for node in play.nodes.values() if node["type"] == "Pod"]
    assert play.phase in ("Error", "Failed")
    assert "failed to resolve {{item.a}}" in str(play.nodes)


def test_a_step_that_cannot_be_resolved_makes_no_pod_of_its_group() -> None:
    play = Play(
        workflow(
            steps([{"name": "first", "template": "plain"}, call("{{item.a}}", withItems=[{"a": 1}, {"b": 2}])]),
            worker("y"),
            container("plain"),
        )
    )
    play.settle()
    assert not play.pods()
    assert play.phase == "Failed"
    assert "failed to resolve {{item.a}}" in play.nodes["[0]"]["message"]


def gathering(kind: str) -> dict:
    """A loop of scripts whose results another step or task takes."""
    first = {"name": "each", "template": "make", "withItems": [1, 2]}
    second = call(f"{{{{{kind}.each.outputs.result}}}}") | {"name": "take"}
    if kind == "steps":
        return workflow(steps([first], [second]), script("make"), worker("{{inputs.parameters.x}}"))
    return workflow(dag(first, second | {"depends": "each"}), script("make"), worker("{{inputs.parameters.x}}"))


@pytest.mark.parametrize("kind", ["steps", "tasks"])
def test_gathered_results_keep_the_text_of_their_numbers(kind: str) -> None:
    results = ['{"loss": 1e-05, "steps": 10.0}', ' [1.50,  "a<b"] ']
    seen = []

    def program(pod: dict) -> dict:
        if display(pod).startswith("each"):
            return {"result": results[node_names.loop_index(pod["metadata"]["annotations"][node_names.NODE_NAME])]}
        seen.append(env(pod["spec"]["containers"][-1])["X"])
        return {}

    assert Play(gathering(kind)).run(program).phase == "Succeeded"
    assert seen == ['[{"loss":1e-05,"steps":10.0},[1.50,"a\\u003cb"]]']


@pytest.mark.parametrize("kind", ["steps", "tasks"])
def test_results_that_are_no_json_are_an_error(kind: str) -> None:
    play = Play(gathering(kind)).run(lambda pod: {"result": "hello"})
    assert play.phase in ("Error", "Failed")
    assert not [name for name in play.order if "take" in name]
    assert "invalid character 'h' looking for beginning of value" in str(play.nodes)


def test_a_task_that_cannot_be_expanded_is_an_error_of_its_own() -> None:
    play = Play(workflow(dag(call("{{item}}", withParam="nope")), worker("y")))
    play.settle()
    node = play.nodes[".each"]
    assert (node["type"], node["phase"]) == ("Skipped", "Error")
    assert node["message"].startswith(
        "withParam value could not be parsed as a JSON list: nope: invalid character 'o' in literal null"
    )
