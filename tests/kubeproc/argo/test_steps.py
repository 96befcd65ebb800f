"""Steps with a played kubelet: groups, conditions, loops, and what travels from step to step."""

from __future__ import annotations

import json

from play import Object, Play, container, display, env, script, steps, workflow

from kubeproc.argo.templates import node_names


def test_steps_make_groups_whose_ends_are_joined() -> None:
    a, b, c = ({"name": n, "template": "work"} for n in "abc")
    play = Play(workflow(steps([a, b], [c]), container("work"))).run()
    nodes = play.nodes
    assert {name: node["type"] for name, node in nodes.items()} == {
        "": "Steps",
        "[0]": "StepGroup",
        "[0].a": "Pod",
        "[0].b": "Pod",
        "[1]": "StepGroup",
        "[1].c": "Pod",
    }
    ids = {name: node["id"] for name, node in nodes.items()}
    assert nodes[""]["children"] == [ids["[0]"]]
    assert nodes["[0]"]["children"] == [ids["[0].a"], ids["[0].b"]]
    assert nodes["[0].a"]["children"] == nodes["[0].b"]["children"] == [ids["[1]"]]
    assert nodes[""]["outboundNodes"] == [ids["[1].c"]]
    assert nodes["[0].a"]["boundaryID"] == ids[""]
    assert nodes["[0].a"]["displayName"] == "a"
    assert nodes["[1]"]["displayName"] == "[1]"
    assert nodes["[0]"]["nodeFlag"] == {}
    assert ids["[0].a"] == f"{play.name}-{node_names.fnv32a(play.name + '[0].a')}"
    assert play.status["progress"] == "3/3"
    assert nodes["[1]"]["progress"] == "1/1"


def test_fnv32a_is_the_published_hash() -> None:
    assert [node_names.fnv32a(text) for text in ("", "a", "foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]


def test_a_failed_step_fails_its_group_and_the_rest_is_not_run() -> None:
    a, b = ({"name": n, "template": "work"} for n in "ab")
    play = Play(workflow(steps([a], [b]), container("work"))).run(lambda pod: 1)
    failed = play.nodes["[0].a"]["id"]
    assert play.phases() == {"": "Failed", "[0]": "Failed", "[0].a": "Failed"}
    assert play.message == f"child '{failed}' failed" == play.nodes["[0]"]["message"]


def test_continue_on_lets_a_failure_pass() -> None:
    a = {"name": "a", "template": "work", "continueOn": {"failed": True}}
    b = {"name": "b", "template": "work", "when": "{{steps.a.status}} == Failed"}
    play = Play(workflow(steps([a], [b]), container("work"))).run(lambda pod: display(pod) == "a")
    assert play.phase == "Succeeded"
    assert play.nodes["[1].b"]["phase"] == "Succeeded"


def test_a_step_whose_condition_is_false_is_skipped() -> None:
    a = {"name": "a", "template": "flip"}
    b = {"name": "b", "template": "work", "when": "{{steps.a.outputs.result}} == heads"}
    play = Play(workflow(steps([a], [b]), script("flip"), container("work")))
    play.run(lambda pod: {"result": "tails"})
    node = play.nodes["[1].b"]
    assert (node["type"], node["phase"], node["message"]) == (
        "Skipped",
        "Skipped",
        "when 'tails == heads' evaluated false",
    )
    assert play.phase == "Succeeded"


def test_the_result_is_collected_only_if_a_step_refers_to_it() -> None:
    a, b = {"name": "a", "template": "work"}, {"name": "b", "template": "work"}
    c = {"name": "c", "template": "work", "when": "{{steps.a.outputs.result}} == x"}
    play = Play(workflow(steps([a, b], [c]), container("work")))
    play.settle()
    asked = {display(p): env(p["spec"]["containers"][1])["ARGO_INCLUDE_SCRIPT_OUTPUT"] for p in play.pods()}
    assert asked == {"a": "true", "b": "false"}


def test_parameters_travel_from_step_to_step_and_out_of_the_template() -> None:
    make = container("make", outputs={"parameters": [{"name": "x", "valueFrom": {"path": "/x"}}]})
    take = {
        "name": "take",
        "inputs": {"parameters": [{"name": "x"}, {"name": "n", "value": 7}]},
        "container": {"image": "busybox", "command": ["echo", "{{inputs.parameters.x}}", "{{inputs.parameters.n}}"]},
    }
    inner = {
        "name": "inner",
        "steps": [[{"name": "make", "template": "make"}]],
        "outputs": {"parameters": [{"name": "y", "valueFrom": {"parameter": "{{steps.make.outputs.parameters.x}}"}}]},
    }
    given = {"parameters": [{"name": "x", "value": "got {{steps.a.outputs.parameters.y}}"}]}
    outer = steps([{"name": "a", "template": "inner"}], [{"name": "b", "template": "take", "arguments": given}])
    play = Play(workflow(outer, inner, make, take))
    play.settle()
    play.end(play.pods()[0], parameters={"x": 'a "b"\nc'})
    play.settle()
    pod = play.pods()[0]
    assert pod["spec"]["containers"][1]["command"] == ["echo", 'got a "b"\nc', "7"]
    assert play.nodes["[0].a"]["outputs"] == {"parameters": [{"name": "y", "value": 'a "b"\nc'}]}
    assert play.nodes["[1].b"]["inputs"]["parameters"] == [
        {"name": "x", "value": 'got a "b"\nc'},
        {"name": "n", "value": "7"},
    ]


def test_a_loop_gathers_the_outputs_of_its_iterations() -> None:
    work = container("work", outputs={"parameters": [{"name": "o", "valueFrom": {"path": "/o"}}]})
    loop = {"name": "a", "template": "work", "withItems": ["x", {"k": "v", "b": 2}, [1, "z"], 4]}
    lists = [f"{{{{steps.a.outputs.{what}}}}}" for what in ("parameters", "parameters.o", "result")]
    values = [{"name": f"p{i}", "value": value} for i, value in enumerate(lists)]
    show = {**container("show"), "inputs": {"parameters": [{"name": p["name"]} for p in values]}}
    use = {"name": "b", "template": "show", "arguments": {"parameters": values}}
    play = Play(workflow(steps([loop], [use]), work, show))
    numbers = iter("1234")

    def program(pod: Object) -> Object:
        if display(pod) == "b":
            return {}
        index = node_names.loop_index(pod["metadata"]["annotations"][node_names.NODE_NAME])
        return {"parameters": {"o": f"o{index}"}, "result": next(numbers)}

    play.run(program)
    assert [n for n in play.nodes if n.startswith("[0].")] == [
        "[0].a(0:x)",
        "[0].a(1:b:2,k:v)",
        "[0].a(2:[1 z])",
        "[0].a(3:4)",
    ]
    got = {p["name"]: json.loads(p["value"]) for p in play.nodes["[1].b"]["inputs"]["parameters"]}
    assert got["p0"] == [{"o": "o0"}, {"o": "o1"}, {"o": "o2"}, {"o": "o3"}]
    assert got["p1"] == ["o0", "o1", "o2", "o3"]
    assert sorted(got["p2"]) == [1, 2, 3, 4]


def test_an_empty_loop_is_skipped() -> None:
    loop = {"name": "a", "template": "work", "withParam": "[]"}
    play = Play(workflow(steps([loop]), container("work"))).run()
    assert play.nodes["[0].a"]["message"] == "Skipped, empty params"
    assert play.phase == "Succeeded"


def test_a_loop_over_a_value_that_is_not_a_list_fails_with_argos_message() -> None:
    loop = {"name": "a", "template": "work", "withParam": "{{workflow.parameters.p}}"}
    arguments = {"parameters": [{"name": "p", "value": "no list"}]}
    play = Play(workflow(steps([loop]), container("work"), arguments=arguments)).run()
    assert play.phase == "Failed"
    assert play.message.startswith("withParam value could not be parsed as a JSON list: no list: ")
