"""Hooks: when they run, what they know, and that what follows waits for them."""

from __future__ import annotations

from typing import Any

import pytest
from play import Object, Play, container, display


def workflow(kind: str, step_hooks: Object, **more: Any) -> Object:
    step = {"name": "a", "template": "work", "hooks": step_hooks}
    after: Object = {"name": "b", "template": "work"}
    if kind == "steps":
        main: Object = {"name": "main", "steps": [[step], [after]]}
    else:
        main = {"name": "main", "dag": {"tasks": [step, {**after, "depends": "a"}]}}
    outputs = {"parameters": [{"name": "o", "valueFrom": {"path": "/o", "default": "none"}}]}
    tell = container("tell", inputs={"parameters": [{"name": "m"}]})
    tell["container"]["args"] = ["{{inputs.parameters.m}}"]
    return {
        "entrypoint": "main",
        "templates": [main, container("work", outputs=outputs), container("hook"), tell],
        **more,
    }


def report(pod: Object) -> Object:
    return {"parameters": {"o": "value"}} if display(pod) in ("a", "b") else {}


@pytest.mark.parametrize(("kind", "a"), [("steps", "[0].a"), ("tasks", ".a")])
def test_an_exit_hook_runs_after_its_step_and_before_the_next(kind: str, a: str) -> None:
    given = {"parameters": [{"name": "m", "value": f"{{{{{kind}.a.outputs.parameters.o}}}}"}]}
    play = Play(workflow("steps" if kind == "steps" else "dag", {"exit": {"template": "tell", "arguments": given}}))
    play.settle()
    play.end(play.pods()[0], parameters={"o": "value"})
    play.settle()
    (pod,) = play.pods()
    assert pod["spec"]["containers"][1]["args"] == ["value"]
    node = play.nodes[f"{a}.onExit"]
    assert node["nodeFlag"] == {"hooked": True}
    assert node["id"] in play.nodes[a]["children"]
    play.run(report)
    assert play.phase == "Succeeded"
    assert play.order[:2] == [a, f"{a}.onExit"]


@pytest.mark.parametrize(("kind", "a"), [("steps", "[0].a"), ("tasks", ".a")])
def test_a_hook_runs_when_its_expression_holds(kind: str, a: str) -> None:
    hooks = {
        "yes": {"template": "hook", "expression": f'{kind}["a"].status == "Running"'},
        "no": {"template": "hook", "expression": f'{kind}["a"].status == "Failed"'},
    }
    play = Play(workflow("steps" if kind == "steps" else "dag", hooks))
    play.settle()
    play.start(play.pods()[0])
    play.settle()
    assert f"{a}.hooks.yes" in play.nodes
    assert f"{a}.hooks.no" not in play.nodes
    play.run(report)
    assert play.phase == "Succeeded"
    assert play.nodes[f"{a}.hooks.yes"]["phase"] == "Succeeded"


def test_the_workflow_has_hooks_too() -> None:
    hooks = {
        "run": {"template": "hook", "expression": 'workflow.status == "Running"'},
        "exit": {"template": "hook"},
    }
    play = Play(workflow("steps", {}, hooks=hooks)).run(report)
    assert play.phase == "Succeeded"
    assert play.nodes[".hooks.run"]["phase"] == play.nodes[".onExit"]["phase"] == "Succeeded"
    assert play.order[-1] == ".onExit"


def test_a_hook_that_cannot_be_evaluated_is_an_error_of_its_step() -> None:
    play = Play(workflow("dag", {"bad": {"template": "hook", "expression": "nothing.here"}})).run(report)
    assert play.nodes[".a"]["phase"] == "Error"
    assert "unknown name nothing" in play.nodes[".a"]["message"]
