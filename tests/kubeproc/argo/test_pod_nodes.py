"""A node that is a pod, with a played kubelet: the pod that Argo makes, and what its end says."""

from __future__ import annotations

import json
import time

import pytest
from play import Play, container, env, script, workflow

from kubeproc.argo.workflow.turn import ParallelismReached, Turn
from kubeproc.resources import EVENTS, PODS, WORKFLOWS, WORKFLOWTASKRESULTS


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


def vanish(play: Play) -> None:
    """The pod runs, and is gone: its machine failed, or somebody deleted it by force."""
    play.settle()
    play.start(play.pods()[0])
    play.settle()
    play.store.delete(PODS, "default", play.name, grace=0)
    play.settle()


def test_a_pod_that_vanishes_is_made_again() -> None:
    play = Play(workflow(container()))
    vanish(play)
    assert (play.phase, play.nodes[""]["phase"]) == ("Running", "Pending")
    told = [(e["reason"], e["message"]) for e in play.store.list(EVENTS)]
    assert ("WorkflowNodeError", f"Error node {play.name}: pod deleted") in told
    play.end(play.pods()[0])
    play.settle()
    assert play.phase == "Succeeded"


def test_of_a_resource_template_it_is_an_error() -> None:
    made = {"action": "create", "manifest": "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"}
    play = Play(workflow({"name": "main", "resource": made}))
    vanish(play)
    assert (play.phase, play.message) == ("Error", "pod deleted")


def test_so_it_is_where_nothing_may_start_any_more() -> None:
    play = Play(workflow(container()))
    play.settle()
    play.start(play.pods()[0])
    play.settle()
    play.store.modify(WORKFLOWS, "default", play.name, lambda w: w["spec"].update(shutdown="Terminate"))
    play.store.delete(PODS, "default", play.name, grace=0)
    play.settle()
    assert (play.nodes[""]["phase"], play.nodes[""]["message"]) == ("Error", "pod deleted")


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


def test_a_pass_over_many_nodes_makes_more_than_one_pod() -> None:
    """It took longer to come to the first pod than making pods may take."""
    turn = Turn(time.time())
    turn._begun -= 10.0
    for _ in range(100):
        turn.spend()
    assert turn.again is None
    turn._until = 0.0
    with pytest.raises(ParallelismReached):
        turn.spend()
    assert turn.again == 0.0
