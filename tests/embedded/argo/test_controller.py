"""Whole workflows with a played kubelet: the node trees, messages and pods that Argo makes of them."""

from __future__ import annotations

import json

import pytest
from play import Object, Play, container, display, script, world

from labkit.embedded.argo import names
from labkit.embedded.resources import CLAIMS, CONFIGMAPS, EVENTS, PODS, WORKFLOWS, WORKFLOWTASKRESULTS


def env(container: Object) -> dict[str, str]:
    return {v["name"]: v.get("value", "") for v in container["env"]}


def steps(*groups: list[Object], **more: object) -> Object:
    return {"name": "main", "steps": list(groups), **more}


def workflow(*templates: Object, **more: object) -> Object:
    return {"entrypoint": "main", "templates": list(templates), **more}


# -- one pod ---------------------------------------------------------------------------------------------------------


def test_a_container_becomes_a_pod_and_the_root_node() -> None:
    play = Play(workflow(container()), name="hello")
    play.settle()
    (pod,) = play.pods()
    meta, spec = pod["metadata"], pod["spec"]
    assert meta["name"] == "hello"
    assert meta["labels"] == {"workflows.argoproj.io/workflow": "hello", "workflows.argoproj.io/completed": "false"}
    assert meta["annotations"] == {
        "workflows.argoproj.io/node-name": "hello",
        "workflows.argoproj.io/node-id": "hello",
        "kubectl.kubernetes.io/default-container": "main",
    }
    assert meta["ownerReferences"][0]["kind"] == "Workflow"
    assert meta["ownerReferences"][0]["controller"] is True
    assert spec["restartPolicy"] == "Never"
    assert [c["name"] for c in spec["containers"]] == ["wait", "main"]
    assert "initContainers" not in spec
    wait = env(spec["containers"][0])
    assert wait["ARGO_NODE_ID"] == "hello"
    assert wait["ARGO_INCLUDE_SCRIPT_OUTPUT"] == "false"
    assert json.loads(wait["ARGO_TEMPLATE"])["container"]["image"] == "busybox"
    assert "ARGO_TEMPLATE" not in env(spec["containers"][1])

    play.run()
    status = play.status
    assert (status["phase"], status["progress"]) == ("Succeeded", "1/1")
    node = status["nodes"]["hello"]
    assert {k: node[k] for k in ("id", "name", "displayName", "type", "templateName", "templateScope", "phase")} == {
        "id": "hello",
        "name": "hello",
        "displayName": "hello",
        "type": "Pod",
        "templateName": "main",
        "templateScope": "local/hello",
        "phase": "Succeeded",
    }
    assert node["outputs"] == {"exitCode": "0"}
    labels = play.workflow["metadata"]["labels"]
    assert labels == {"workflows.argoproj.io/phase": "Succeeded", "workflows.argoproj.io/completed": "true"}
    assert {c["type"]: c["status"] for c in status["conditions"]} == {"PodRunning": "False", "Completed": "True"}


def test_a_script_gets_its_source_as_a_last_argument() -> None:
    play = Play(workflow(script("main")))
    play.settle()
    spec = play.pods()[0]["spec"]
    main = spec["containers"][1]
    assert (main["command"], main["args"]) == (["python"], ["/argo/staging/script"])
    assert [c["name"] for c in spec["initContainers"]] == ["init"]
    assert "source" not in main


def test_the_phases_of_the_pod_are_those_of_the_node() -> None:
    play = Play(workflow(container()))
    play.settle()
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    play.set_status(play.pods()[0], {"phase": "Pending", "containerStatuses": [{"name": "main", "state": waiting}]})
    play.settle()
    assert (play.nodes[""]["phase"], play.nodes[""]["message"]) == ("Pending", "ImagePullBackOff: no such image")
    play.start(play.pods()[0])
    play.settle()
    assert play.nodes[""]["phase"] == "Running"
    assert "message" not in play.nodes[""]
    assert {"type": "PodRunning", "status": "True"} in play.status["conditions"]


@pytest.mark.parametrize(
    ("ended", "phase", "message"),
    [
        ({"main": ("Error", 1, "")}, "Failed", "main: Error (exit code 1)"),
        ({"main": ("OOMKilled", 137, "")}, "Failed", "main: OOMKilled (exit code 137)"),
        ({"main": ("StartError", 128, "no file")}, "Failed", "main: StartError (exit code 128): no file"),
        ({"wait": ("Error", 64, "cannot save")}, "Error", "wait: Error (exit code 64): cannot save"),
        ({"init": ("Error", 64, "no artifact")}, "Error", "init: Error (exit code 64): no artifact"),
    ],
)
def test_a_failed_pod_says_which_container_and_why(ended: dict, phase: str, message: str) -> None:
    play = Play(workflow(container()))
    play.settle()
    kinds: dict[str, list] = {"initContainerStatuses": [], "containerStatuses": []}
    for name in ("init", "wait", "main"):
        reason, code, words = ended.get(name, ("Completed", 0, ""))
        state = {"terminated": {"reason": reason, "exitCode": code, "message": words}}
        kinds["initContainerStatuses" if name == "init" else "containerStatuses"].append({"name": name, "state": state})
    play.set_status(play.pods()[0], {"phase": "Failed", **kinds})
    play.settle()
    assert (play.phase, play.message) == (phase, message)


def test_a_pods_own_message_comes_first() -> None:
    play = Play(workflow(container()))
    play.settle()
    words = "Pod was active on the node longer than the specified deadline"
    play.set_status(play.pods()[0], {"phase": "Failed", "reason": "DeadlineExceeded", "message": words})
    play.settle()
    assert (play.phase, play.message) == ("Failed", words)


def test_a_pod_that_vanishes_is_an_error() -> None:
    play = Play(workflow(container()))
    play.settle()
    play.start(play.pods()[0])
    play.settle()
    play.store.delete(PODS, "default", play.name, grace=0)
    play.settle()
    assert (play.phase, play.message) == ("Error", "pod deleted")


def test_a_node_succeeds_only_when_its_outputs_have_arrived() -> None:
    outputs = {"parameters": [{"name": "p", "valueFrom": {"path": "/p"}}]}
    play = Play(workflow(container(outputs=outputs)))
    play.settle()
    pod = play.pods()[0]
    play.end(pod)
    play.settle()
    assert play.phase == "Running"
    play.report(pod, parameters={"p": "1"})
    play.settle()
    assert play.phase == "Succeeded"
    assert play.nodes[""]["outputs"] == {"parameters": [{"name": "p", "value": "1"}], "exitCode": "0"}
    assert play.store.list(WORKFLOWTASKRESULTS) == []


# -- steps -----------------------------------------------------------------------------------------------------------


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
    assert ids["[0].a"] == f"{play.name}-{names.fnv32a(play.name + '[0].a')}"
    assert play.status["progress"] == "3/3"
    assert nodes["[1]"]["progress"] == "1/1"


def test_fnv32a_is_the_published_hash() -> None:
    assert [names.fnv32a(text) for text in ("", "a", "foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]


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


def test_the_result_is_asked_for_only_where_somebody_refers_to_it() -> None:
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
        index = names.loop_index(pod["metadata"]["annotations"][names.NODE_NAME])
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


def test_a_loop_over_what_is_no_list_fails_with_argos_words() -> None:
    loop = {"name": "a", "template": "work", "withParam": "{{workflow.parameters.p}}"}
    arguments = {"parameters": [{"name": "p", "value": "no list"}]}
    play = Play(workflow(steps([loop]), container("work"), arguments=arguments)).run()
    assert play.phase == "Failed"
    assert play.message.startswith("withParam value could not be parsed as a JSON list: no list: ")


# -- dag -------------------------------------------------------------------------------------------------------------


def dag(*tasks: Object, **more: object) -> Object:
    return {"name": "main", "dag": {"tasks": list(tasks), **more}}


def task(name: str, depends: str = "", **more: object) -> Object:
    return {"name": name, "template": "work", **({"depends": depends} if depends else {}), **more}


def test_a_dag_draws_its_edges_from_the_nodes_dependencies_end_in() -> None:
    play = Play(workflow(dag(task("a"), task("b", "a"), task("c", "a"), task("d", "b && c")), container("work"))).run()
    nodes = play.nodes
    ids = {name: node["id"] for name, node in nodes.items()}
    assert nodes[""]["children"] == [ids[".a"]]
    assert nodes[".a"]["children"] == [ids[".b"], ids[".c"]]
    assert nodes[".b"]["children"] == nodes[".c"]["children"] == [ids[".d"]]
    assert nodes[""]["outboundNodes"] == [ids[".d"]]
    assert nodes[".d"]["displayName"] == "d"
    assert (play.order[0], sorted(play.order[1:3]), play.order[3]) == (".a", [".b", ".c"], ".d")


def test_an_unmet_dependency_omits_the_task() -> None:
    play = Play(workflow(dag(task("a"), task("b", "a.Failed"), task("c", "b.Omitted")), container("work"))).run()
    node = play.nodes[".b"]
    assert (node["type"], node["phase"], node["message"]) == (
        "Skipped",
        "Omitted",
        "omitted: depends condition not met",
    )
    assert play.phases()[".c"] == "Succeeded"
    assert play.phase == "Succeeded"


def test_a_failed_task_fails_the_dag_without_a_message() -> None:
    play = Play(workflow(dag(task("a"), task("b", "a")), container("work"))).run(lambda pod: 1)
    assert play.phases() == {"": "Failed", ".a": "Failed", ".b": "Omitted"}
    assert (play.phase, play.message) == ("Failed", "")


def test_a_loop_in_a_dag_is_a_task_group() -> None:
    looped = task("a", withSequence={"start": "3", "end": "1", "format": "n%02d"})
    play = Play(workflow(dag(looped, task("b", "a.AnySucceeded")), container("work")))
    play.run(lambda pod: 0 if "n02" in pod["metadata"]["annotations"][names.NODE_NAME] or display(pod) == "b" else 1)
    nodes = play.nodes
    assert nodes[".a"]["type"] == "TaskGroup"
    assert nodes[".a"]["phase"] == "Failed"
    assert [n for n in nodes if n.startswith(".a(")] == [".a(0:n03)", ".a(1:n02)", ".a(2:n01)"]
    assert nodes[".b"]["phase"] == "Succeeded"
    assert nodes[".a(0:n03)"]["children"] == [nodes[".b"]["id"]]


def test_only_what_the_targets_need_is_run() -> None:
    play = Play(workflow(dag(task("a"), task("b", "a"), task("c"), target="b"), container("work"))).run()
    assert sorted(play.phases()) == ["", ".a", ".b"]


def test_dependencies_and_continue_on_are_the_older_form() -> None:
    tasks = [task("a", continueOn={"failed": True}), task("b", dependencies=["a"])]
    play = Play(workflow(dag(*tasks), container("work"))).run(lambda pod: display(pod) == "a")
    assert play.phases()[".b"] == "Succeeded"
    assert play.phase == "Succeeded"


# -- control ---------------------------------------------------------------------------------------------------------


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
    play.run(lambda pod: pod["metadata"]["annotations"][names.NODE_NAME].endswith("onExit"))
    assert (play.phase, play.message) == ("Failed", "main: Error (exit code 1)")


def test_endless_recursion_is_ended() -> None:
    again = {"name": "again", "template": "main"}
    play = Play(workflow(steps([again])))
    play.settle()
    assert play.phase in ("Failed", "Error")
    deepest = max(play.nodes.values(), key=lambda node: len(node["name"]))
    assert deepest["message"].startswith("Maximum recursion depth exceeded.")


# -- variables, volumes, clearing away -------------------------------------------------------------------------------


def test_global_variables_are_known_everywhere() -> None:
    shown = [
        "{{workflow.name}}/{{workflow.namespace}}/{{workflow.uid}}",
        "{{workflow.parameters.a}} {{workflow.parameters}}",
        "{{workflow.labels.team}} {{workflow.annotations.note}} {{workflow.priority}}",
        "{{workflow.creationTimestamp.Y}} {{workflow.creationTimestamp.s}}",
        "{{workflow.serviceAccountName}} {{workflow.mainEntrypoint}} {{pod.name}} {{node.name}}",
    ]
    template = {"name": "main", "container": {"image": "busybox", "command": ["echo"], "args": shown}}
    more = {"priority": 3, "serviceAccountName": "sam", "arguments": {"parameters": [{"name": "a", "value": 1.50}]}}
    play = Play(workflow(template, **more), name="vars", labels={"team": "blue"}, annotations={"note": "n"})
    play.settle()
    meta, pod = play.workflow["metadata"], play.pods()[0]
    args = pod["spec"]["containers"][1]["args"]
    assert args[0] == f"vars/default/{meta['uid']}"
    assert args[1] == '1.5 [{"name":"a","value":"1.5"}]'
    assert args[2] == "blue n 3"
    assert args[3].startswith(meta["creationTimestamp"][:4] + " ")
    assert args[4] == "sam main vars vars"
    assert pod["spec"]["serviceAccountName"] == "sam"


def test_global_outputs_are_the_workflows() -> None:
    make = container("make", outputs={"parameters": [{"name": "x", "valueFrom": {"path": "/x"}, "globalName": "g"}]})
    show = container("show")
    show["container"]["args"] = ["{{workflow.outputs.parameters.g}}"]
    play = Play(workflow(steps([{"name": "a", "template": "make"}], [{"name": "b", "template": "show"}]), make, show))
    play.settle()
    pod = play.pods()[0]
    labels = {names.WORKFLOW_LABEL: play.name, names.REPORTED_LABEL: "true"}
    meta = {"name": pod["metadata"]["annotations"][names.NODE_ID], "namespace": "default", "labels": labels}
    outputs = {"parameters": [{"name": "x", "value": "1", "globalName": "g"}]}
    play.store.create(WORKFLOWTASKRESULTS, {"metadata": meta, "outputs": outputs})
    play.end(pod)
    play.settle()
    assert play.status["outputs"] == {"parameters": [{"name": "g", "value": "1"}]}
    assert play.pods()[0]["spec"]["containers"][1]["args"] == ["1"]


def test_a_parameter_comes_from_a_configmap_or_its_default() -> None:
    store = world()
    label = {"workflows.argoproj.io/configmap-type": "Parameter"}
    store.create(CONFIGMAPS, {"metadata": {"name": "cm", "labels": label}, "data": {"k": "from cm"}})
    source = {"configMapKeyRef": {"name": "cm", "key": "k"}}
    missing = {"configMapKeyRef": {"name": "cm", "key": "none"}, "default": "fallback"}
    template = container(inputs={"parameters": [{"name": "a"}, {"name": "b", "valueFrom": missing}]})
    template["container"]["args"] = ["{{inputs.parameters.a}}", "{{inputs.parameters.b}}"]
    play = Play(workflow(template, arguments={"parameters": [{"name": "a", "valueFrom": source}]}), store)
    play.settle()
    assert play.pods()[0]["spec"]["containers"][1]["args"] == ["from cm", "fallback"]


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
    assert play.store.get(PODS, "default", play.name)["metadata"]["labels"][names.COMPLETED_LABEL] == "true"
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


def test_what_happens_is_told_as_events() -> None:
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
    import time

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
