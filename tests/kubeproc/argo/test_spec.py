"""Workflows that refer to WorkflowTemplates, by the whole or by the step; templateDefaults; inline templates."""

from __future__ import annotations

from play import Object, Play, container, world

from kubeproc.argo.templates import spec
from kubeproc.resources import CLUSTERWORKFLOWTEMPLATES, WORKFLOWTEMPLATES
from kubeproc.store import Store


def lent(store: Store, name: str, *templates: Object, cluster: bool = False, **more: object) -> None:
    resource = CLUSTERWORKFLOWTEMPLATES if cluster else WORKFLOWTEMPLATES
    store.create(
        resource, {"metadata": {"name": name, "namespace": "default"}, "spec": {"templates": list(templates), **more}}
    )


def echo(name: str) -> Object:
    found = container(name, inputs={"parameters": [{"name": "p", "value": "none"}]})
    found["container"]["args"] = ["{{inputs.parameters.p}}", "{{workflow.parameters.w}}"]
    return found


def test_a_workflow_runs_a_workflow_template_with_its_own_parameters() -> None:
    store = world()
    given = {"parameters": [{"name": "w", "value": "lent"}, {"name": "v", "value": "lent"}]}
    steps = {"name": "main", "steps": [[{"name": "a", "template": "echo"}]]}
    lent(store, "t", steps, echo("echo"), entrypoint="main", arguments=given)
    own = {"parameters": [{"name": "w", "value": "own"}]}
    play = Play({"workflowTemplateRef": {"name": "t"}, "arguments": own}, store)
    play.settle()
    assert play.pods()[0]["spec"]["containers"][1]["args"] == ["none", "own"]
    stored = play.status["storedWorkflowTemplateSpec"]
    assert stored["entrypoint"] == "main"
    assert stored["arguments"]["parameters"] == [{"name": "w", "value": "own"}, {"name": "v", "value": "lent"}]
    store.delete(WORKFLOWTEMPLATES, "default", "t")
    assert play.run().phase == "Succeeded"


def test_a_workflow_without_its_template_is_an_error() -> None:
    play = Play({"workflowTemplateRef": {"name": "none"}})
    play.settle()
    assert (play.phase, play.message) == ("Error", 'workflowtemplates.argoproj.io "none" not found')


def test_a_step_refers_to_a_template_elsewhere_and_its_steps_stay_there() -> None:
    store = world()
    inner = {"name": "inner", "steps": [[{"name": "x", "template": "echo"}]]}
    lent(store, "lib", inner, echo("echo"), podMetadata={"labels": {"from": "lib"}})
    lent(store, "all", echo("echo"), cluster=True)
    steps = [
        [{"name": "a", "templateRef": {"name": "lib", "template": "inner"}}],
        [{"name": "b", "templateRef": {"name": "all", "template": "echo", "clusterScope": True}}],
    ]
    arguments = {"parameters": [{"name": "w", "value": "1"}]}
    play = Play({"entrypoint": "main", "templates": [{"name": "main", "steps": steps}], "arguments": arguments}, store)
    play.settle()
    (pod,) = play.pods()
    assert pod["metadata"]["labels"]["from"] == "lib"
    assert pod["metadata"]["name"].startswith(f"{play.name}-echo-")
    store.delete(WORKFLOWTEMPLATES, "default", "lib")
    play.run()
    assert play.phase == "Succeeded"
    assert sorted(play.status["storedTemplates"]) == ["cluster/all/echo", "namespaced/lib/echo", "namespaced/lib/inner"]
    nodes = play.nodes
    assert nodes["[0].a"]["templateRef"] == {"name": "lib", "template": "inner"}
    assert nodes["[0].a"]["templateScope"] == f"local/{play.name}"
    assert nodes["[0].a[0].x"]["templateScope"] == "namespaced/lib"


def test_template_defaults_reach_the_templates_of_their_kind() -> None:
    defaults = {"container": {"imagePullPolicy": "Never"}, "script": {"image": "x"}, "retryStrategy": {"limit": 1}}
    play = Play({"entrypoint": "main", "templates": [container()], "templateDefaults": defaults})
    play.settle()
    assert play.pods()[0]["spec"]["containers"][1]["imagePullPolicy"] == "Never"
    assert play.nodes[""]["type"] == "Retry"


def test_an_inline_template_needs_no_name() -> None:
    inline = {"container": {"image": "busybox", "command": ["true"]}}
    tasks = [{"name": "a", "inline": inline}]
    play = Play({"entrypoint": "main", "templates": [{"name": "main", "dag": {"tasks": tasks}}]}).run()
    assert play.phase == "Succeeded"
    assert "templateName" not in play.nodes[".a"]


def test_lists_of_named_things_merge_by_name() -> None:
    low = {"a": 1, "list": [{"name": "x", "v": 1}, {"name": "y"}], "plain": [1, 2]}
    high = {"list": [{"name": "x", "w": 2}, {"name": "z"}], "plain": [3], "b": None}
    assert spec.merge(low, high) == {
        "a": 1,
        "list": [{"name": "x", "v": 1, "w": 2}, {"name": "y"}, {"name": "z"}],
        "plain": [3],
        "b": None,
    }
