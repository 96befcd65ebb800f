"""Variables and outputs of the whole workflow, and parameters that come from elsewhere."""

from __future__ import annotations

from play import Play, container, steps, workflow, world

from kubeproc.argo.templates import node_names
from kubeproc.resources import CONFIGMAPS, WORKFLOWTASKRESULTS


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
    labels = {node_names.WORKFLOW_LABEL: play.name, node_names.REPORTED_LABEL: "true"}
    meta = {"name": pod["metadata"]["annotations"][node_names.NODE_ID], "namespace": "default", "labels": labels}
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
