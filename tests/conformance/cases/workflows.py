"""Workflows: node trees, messages, outputs and control, as Argo Workflows 3.7 makes them."""

from __future__ import annotations

from typing import Any

from ..lab import Lab, Object
from ._make import IMAGE

NODE = ("type", "phase", "message", "templateName", "displayName", "progress", "outputs", "inputs", "templateScope",
        "nodeFlag", "memoizationStatus", "templateRef")  # fmt: skip


SEEN = "sleep 0.5"  # a program that ends at once is not seen running, on either engine: whether it was would be chance


def _leaf(name: str, script: str = "true", **more: Any) -> Object:
    return {"name": name, "container": {"image": IMAGE, "command": ["sh", "-c"], "args": [script]}} | more


def _script(name: str, source: str, **more: Any) -> Object:
    return {"name": name, "script": {"image": IMAGE, "command": ["sh"], "source": source}} | more


def _step(name: str, template: str, **more: Any) -> Object:
    return {"name": name, "template": template} | more


def _steps(*groups: list[Object], name: str = "main", **more: Any) -> Object:
    return {"name": name, "steps": [list(g) for g in groups]} | more


def _dag(*tasks: Object, name: str = "main", **more: Any) -> Object:
    return {"name": name, "dag": {"tasks": list(tasks)} | more}


def _parameters(**values: Any) -> Object:
    return {"parameters": [{"name": k, "value": v} for k, v in values.items()]}


def _wf(*templates: Object, name: str = "wf", **spec: Any) -> Object:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {"entrypoint": templates[0]["name"] if templates else "main", "templates": list(templates)} | spec,
    }


def _view(lab: Lab, wf: Object) -> Any:
    """Phase, message and the whole tree by node name; children and outbound nodes are told by name."""
    status = wf.get("status", {})
    nodes = status.get("nodes") or {}
    names = {i: n["name"] for i, n in nodes.items()}
    tree = {}
    for node in nodes.values():
        seen = {k: lab.view(_quiet(node[k])) for k in NODE if k in node}
        for many in ("children", "outboundNodes"):
            if many in node:
                seen[many] = [names.get(i, "?") for i in node[many]]
        if "boundaryID" in node:
            seen["boundary"] = names.get(node["boundaryID"], "?")
        seen["id"] = node["id"]
        tree[node["name"]] = seen
    found = {k: lab.view(_quiet(status[k])) for k in ("phase", "message", "progress", "outputs") if k in status}
    kept = [c for c in status.get("conditions") or () if c["type"] != "PodRunning"]  # of the moment
    return found | {"conditions": lab.view(kept), "nodes": tree}


def _quiet(value: Any) -> Any:
    """Without the log artifact's place, which is the repository's."""
    if isinstance(value, dict) and "artifacts" in value:
        return {k: v for k, v in value.items() if k != "artifacts"} | {
            "artifacts": [a["name"] for a in value["artifacts"]]
        }
    return value


def _run(lab: Lab, made: Object) -> Any:
    lab.create(made)
    return _view(lab, lab.workflow("wf"))


def one_container(lab: Lab) -> Any:
    found = _run(lab, _wf(_leaf("main", f"{SEEN}; echo hello")))
    wf = lab.get("workflows/wf")
    (pod,) = lab.items("pods")
    meta = pod["metadata"]
    status = wf["status"]
    return found | {
        "labels": lab.view(wf["metadata"].get("labels")),
        "events": lab.events("wf", "WorkflowSucceeded", "WorkflowNodeSucceeded", kind="Workflow"),
        "get": lab.kubectl("get", "workflow", "wf"),
        "pod": [lab.normal.text(meta["name"]), sorted(meta["labels"]), lab.view(meta["ownerReferences"])],
        "annotations": lab.view(meta["annotations"]),
        "containers": [c["name"] for c in pod["spec"]["containers"]],
        "inits": [c["name"] for c in pod["spec"].get("initContainers", ())],
        "restart": pod["spec"]["restartPolicy"],
        "log": lab.log(meta["name"], container="main"),
        "keys": sorted(k for k in status if k not in ("taskResultsCompletionStatus", "artifactRepositoryRef",
                                                      "artifactGCStatus", "estimatedDuration")),
    }  # fmt: skip


def steps(lab: Lab) -> Any:
    return _run(lab, _wf(_steps([_step("a", "leaf")], [_step("b", "leaf"), _step("c", "leaf")]), _leaf("leaf")))


def dag(lab: Lab) -> Any:
    tasks = [
        _step("a", "leaf"),
        _step("b", "leaf", dependencies=["a"]),
        _step("c", "leaf", dependencies=["a"]),
        _step("d", "leaf", depends="b && c"),
    ]
    return _run(lab, _wf(_dag(*tasks), _leaf("leaf")))


def parameters_and_results(lab: Lab) -> Any:
    arguments = _parameters(p="{{steps.say.outputs.result}}", q="{{workflow.parameters.top}}-{{workflow.name}}")
    template = _leaf("show", "echo {{inputs.parameters.p}} {{inputs.parameters.q}}")
    template["inputs"] = {"parameters": [{"name": "p"}, {"name": "q"}, {"name": "r", "value": "default"}]}
    main = _steps([_step("say", "say")], [_step("show", "show", arguments=arguments)])
    return _run(lab, _wf(main, _script("say", "echo one; echo two"), template, arguments=_parameters(top="7")))


def output_parameters(lab: Lab) -> Any:
    made = _leaf("make", "printf 'a\\nb\\n' > /tmp/p")
    made["outputs"] = {
        "parameters": [
            {"name": "p", "valueFrom": {"path": "/tmp/p"}},
            {"name": "d", "valueFrom": {"path": "/tmp/absent", "default": "none"}},
        ]
    }
    main = _steps([_step("m", "make")])
    main["outputs"] = {"parameters": [{"name": "out", "valueFrom": {"parameter": "{{steps.m.outputs.parameters.p}}"}}]}
    return _run(lab, _wf(main, made))


def output_that_is_not_there(lab: Lab) -> Any:
    made = _leaf("main")
    made["outputs"] = {"parameters": [{"name": "p", "valueFrom": {"path": "/tmp/absent"}}]}
    return _run(lab, _wf(made))


def loops(lab: Lab) -> Any:
    echo = _leaf("leaf", "echo {{inputs.parameters.x}}")
    echo["inputs"] = {"parameters": [{"name": "x"}]}
    main = _steps(
        [_step("items", "leaf", arguments=_parameters(x="{{item}}"), withItems=["a", 1, True])],
        [_step("maps", "leaf", arguments=_parameters(x="{{item.k}}"), withItems=[{"k": "v"}, {"k": "w"}])],
        [_step("counted", "leaf", arguments=_parameters(x="{{item}}"), withSequence={"start": "1", "end": "2"})],
    )
    return _run(lab, _wf(main, echo))


def loops_of_a_dag(lab: Lab) -> Any:
    echo = _leaf("leaf", "echo {{inputs.parameters.x}}")
    echo["inputs"] = {"parameters": [{"name": "x"}]}
    many = _step("many", "leaf", arguments=_parameters(x="{{item}}"), withItems=["a", "b"])
    after = _step("after", "leaf", arguments=_parameters(x="1"), dependencies=["many"])
    return _run(lab, _wf(_dag(many, after), echo))


def loop_over_a_result(lab: Lab) -> Any:
    echo = _leaf("leaf", "echo {{inputs.parameters.x}}")
    echo["inputs"] = {"parameters": [{"name": "x"}]}
    over = _step("each", "leaf", arguments=_parameters(x="{{item}}"), withParam="{{steps.make.outputs.result}}")
    return _run(lab, _wf(_steps([_step("make", "make")], [over]), _script("make", 'echo \'["a","b"]\''), echo))


def loop_over_no_list(lab: Lab) -> Any:
    over = _step("each", "leaf", withParam="no list")
    return _run(lab, _wf(_steps([over]), _leaf("leaf")))


def loop_over_nothing(lab: Lab) -> Any:
    over = _step("each", "leaf", withItems=[])
    return _run(lab, _wf(_steps([over], [_step("b", "leaf")]), _leaf("leaf")))


def when(lab: Lab) -> Any:
    main = _steps(
        [_step("coin", "coin")],
        [
            _step("heads", "leaf", when="{{steps.coin.outputs.result}} == heads"),
            _step("tails", "leaf", when="{{steps.coin.outputs.result}} == tails"),
        ],
    )
    return _run(lab, _wf(main, _script("coin", "echo heads"), _leaf("leaf")))


def when_that_is_no_expression(lab: Lab) -> Any:
    return _run(lab, _wf(_steps([_step("a", "leaf", when="a ===== b")]), _leaf("leaf")))


def fails(lab: Lab) -> Any:
    found = _run(lab, _wf(_leaf("main", f"{SEEN}; exit 3")))
    events = lab.events("wf", "WorkflowFailed", "WorkflowNodeFailed", kind="Workflow")
    return found | {"events": events, "get": lab.kubectl("get", "wf")}


def step_fails(lab: Lab) -> Any:
    main = _steps([_step("a", "bad"), _step("b", "leaf")], [_step("c", "leaf")])
    return _run(lab, _wf(main, _leaf("bad", "exit 1"), _leaf("leaf")))


def task_fails(lab: Lab) -> Any:
    tasks = [_step("a", "bad"), _step("b", "leaf", dependencies=["a"]), _step("c", "leaf")]
    return _run(lab, _wf(_dag(*tasks, failFast=False), _leaf("bad", "exit 1"), _leaf("leaf")))


def depends_on_outcomes(lab: Lab) -> Any:
    tasks = [
        _step("a", "bad"),
        _step("rescue", "leaf", depends="a.Failed"),
        _step("never", "leaf", depends="a.Succeeded"),
        _step("last", "leaf", depends="rescue || never"),
    ]
    return _run(lab, _wf(_dag(*tasks), _leaf("bad", "exit 1"), _leaf("leaf")))


def continues_on_failure(lab: Lab) -> Any:
    main = _steps([_step("a", "bad", continueOn={"failed": True})], [_step("b", "leaf")])
    return _run(lab, _wf(main, _leaf("bad", "exit 1"), _leaf("leaf")))


def retries(lab: Lab) -> Any:
    bad = _leaf("main", "exit 1", retryStrategy={"limit": 2})
    return _run(lab, _wf(bad))


def retries_until_it_succeeds(lab: Lab) -> Any:
    script = "test {{retries}} -eq 1"
    return _run(lab, _wf(_leaf("main", script, retryStrategy={"limit": "3", "retryPolicy": "Always"})))


def retries_by_expression(lab: Lab) -> Any:
    strategy = {"limit": 3, "expression": "asInt(lastRetry.exitCode) == 7"}
    return _run(lab, _wf(_leaf("main", "test {{retries}} -eq 0 && exit 7; exit 2", retryStrategy=strategy)))


def on_exit(lab: Lab) -> Any:
    bye = _leaf("bye", "echo {{workflow.status}} {{workflow.failures}}")
    found = _run(lab, _wf(_leaf("main", "exit 1"), bye, onExit="bye"))
    pods = [p["metadata"]["name"] for p in lab.items("pods") if "bye" in p["metadata"]["name"]]
    return found | {"pods": pods}


def exit_handler_fails(lab: Lab) -> Any:
    return _run(lab, _wf(_leaf("main"), _leaf("bye", "exit 1"), onExit="bye"))


def hooks(lab: Lab) -> Any:
    hooks = {"exit": {"template": "bye"}, "running": {"expression": 'steps.a.status == "Running"', "template": "hi"}}
    return _run(
        lab, _wf(_steps([_step("a", "leaf", hooks=hooks)]), _leaf("leaf", "sleep 5"), _leaf("bye"), _leaf("hi"))
    )


def workflow_hooks(lab: Lab) -> Any:
    hooks = {"exit": {"template": "bye"}}
    return _run(lab, _wf(_leaf("main"), _leaf("bye"), hooks=hooks))


def deadline_of_a_template(lab: Lab) -> Any:
    return _run(lab, _wf(_leaf("main", "sleep 1000", activeDeadlineSeconds=2)))


def deadline_of_the_workflow(lab: Lab) -> Any:
    main = _steps([_step("a", "leaf")])
    return _run(lab, _wf(main, _leaf("leaf", "sleep 1000"), activeDeadlineSeconds=3))


def suspend_template(lab: Lab) -> Any:
    main = _steps([_step("wait", "wait")], [_step("b", "leaf")])
    lab.create(_wf(main, {"name": "wait", "suspend": {}}, _leaf("leaf")))
    waits = lab.until("workflows", "wf", lambda w: any(
        n["type"] == "Suspend" for n in (w.get("status", {}).get("nodes") or {}).values()))  # fmt: skip
    before = _view(lab, waits)
    before.pop("conditions", None)
    resumed = lab.argo("PUT", "workflows/{ns}/wf/resume", {})
    return {"before": before, "code": resumed.code, "after": _view(lab, lab.workflow("wf"))}


def suspend_for_a_while(lab: Lab) -> Any:
    main = _steps([_step("wait", "wait")])
    return _run(lab, _wf(main, {"name": "wait", "suspend": {"duration": "1"}}))


def suspend_that_asks(lab: Lab) -> Any:
    parameters = [{"name": "answer", "enum": ["yes", "no"], "default": "no"}]
    wait = {
        "name": "wait",
        "suspend": {},
        "inputs": {"parameters": parameters},
        "outputs": {"parameters": [{"name": "answer", "valueFrom": {"supplied": {}}}]},
    }
    lab.create(_wf(_steps([_step("wait", "wait")]), wait))
    lab.until("workflows", "wf", lambda w: any(
        n["type"] == "Suspend" for n in (w.get("status", {}).get("nodes") or {}).values()))  # fmt: skip
    body = {"nodeFieldSelector": "displayName=wait", "outputParameters": '{"answer":"yes"}'}
    said = lab.argo("PUT", "workflows/{ns}/wf/set", body)
    resumed = lab.argo("PUT", "workflows/{ns}/wf/resume", {"nodeFieldSelector": "displayName=wait"})
    return {"codes": [said.code, resumed.code], "after": _view(lab, lab.workflow("wf"))}


def created_suspended(lab: Lab) -> Any:
    lab.create(_wf(_leaf("main"), suspend=True))
    waits = lab.until("workflows", "wf", lambda w: w.get("status", {}).get("startedAt"))
    lab.patch("workflows/wf", {"spec": {"suspend": None}})
    return {"before": lab.view(waits, "status.phase"), "after": _view(lab, lab.workflow("wf"))}


def stopped(lab: Lab) -> Any:
    lab.create(_wf(_steps([_step("a", "leaf")]), _leaf("leaf", "sleep 1000"), _leaf("bye"), onExit="bye"))
    lab.until("workflows", "wf", lambda w: any(
        n["type"] == "Pod" and n["phase"] == "Running" for n in (w.get("status", {}).get("nodes") or {}).values()))  # fmt: skip
    said = lab.argo("PUT", "workflows/{ns}/wf/stop", {"message": "enough"})
    found = _view(lab, lab.workflow("wf"))
    return {"code": said.code, "after": found, "labels": lab.view(lab.get("workflows/wf")["metadata"]["labels"])}


def terminated(lab: Lab) -> Any:
    lab.create(_wf(_steps([_step("a", "leaf")]), _leaf("leaf", "sleep 1000"), _leaf("bye"), onExit="bye"))
    lab.until("workflows", "wf", lambda w: any(
        n["type"] == "Pod" and n["phase"] == "Running" for n in (w.get("status", {}).get("nodes") or {}).values()))  # fmt: skip
    said = lab.argo("PUT", "workflows/{ns}/wf/terminate", {})
    return {"code": said.code, "after": _view(lab, lab.workflow("wf"))}


def retried_by_hand(lab: Lab) -> Any:
    main = _steps([_step("a", "leaf")], [_step("b", "bad")])
    lab.create(_wf(main, _leaf("leaf"), _leaf("bad", "exit 1")))
    lab.workflow("wf", "Failed")
    said = lab.argo("PUT", "workflows/{ns}/wf/retry", {})
    lab.workflow("wf", "Running")
    return {"code": said.code, "after": _view(lab, lab.workflow("wf"))}


def memoized(lab: Lab) -> Any:
    cached = _script("say", "echo 42")
    cached["memoize"] = {"key": lab.ns, "cache": {"configMap": {"name": "cache"}}}
    cached["outputs"] = {"parameters": [{"name": "p", "value": "1"}]}
    main = _steps([_step("a", "say")], [_step("b", "say")])
    return _run(lab, _wf(main, cached))


def resource_makes_a_configmap(lab: Lab) -> Any:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made}\ndata: {a: '1'}\n"
    make = {
        "name": "main",
        "resource": {"action": "create", "manifest": manifest},
        "outputs": {"parameters": [{"name": "a", "valueFrom": {"jsonPath": "{.data.a}"}}]},
    }
    return _run(lab, _wf(make)) | {"made": lab.view(lab.get("configmaps/made"), "data")}


def resource_waits_for_a_condition(lab: Lab) -> Any:
    manifest = (
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: made}\nspec:\n  backoffLimit: 0\n  template:\n    spec:\n"
        f"      restartPolicy: Never\n      containers: [{{name: m, image: '{IMAGE}', command: ['false']}}]\n"
    )
    conditions = {"successCondition": "status.succeeded > 0", "failureCondition": "status.failed > 0"}
    return _run(lab, _wf({"name": "main", "resource": {"action": "create", "manifest": manifest} | conditions}))


def resource_refused(lab: Lab) -> Any:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Upper}\n"
    return _run(lab, _wf({"name": "main", "resource": {"action": "create", "manifest": manifest}}))


def raw_artifact(lab: Lab) -> Any:
    leaf = _leaf("leaf", "cat /tmp/in")
    leaf["inputs"] = {"artifacts": [{"name": "in", "path": "/tmp/in", "raw": {"data": "given\n"}}]}
    found = _run(lab, _wf(_steps([_step("a", "leaf")]), leaf))
    (pod,) = lab.items("pods")
    inits = [c["name"] for c in pod["spec"].get("initContainers", ())]
    return found | {"log": lab.log(pod["metadata"]["name"], container="main"), "inits": inits}


def template_reference(lab: Lab) -> Any:
    leaf = _leaf("leaf", "echo {{inputs.parameters.x}}")
    leaf["inputs"] = {"parameters": [{"name": "x", "value": "1"}]}
    lab.create({"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": {"name": "shared"},
                "spec": {"templates": [leaf], "entrypoint": "leaf"}})  # fmt: skip
    ref = {"name": "a", "templateRef": {"name": "shared", "template": "leaf"}, "arguments": _parameters(x="2")}
    return _run(lab, _wf(_steps([ref])))


def whole_template(lab: Lab) -> Any:
    lab.create({"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": {"name": "shared"},
                "spec": {"templates": [_leaf("leaf")], "entrypoint": "leaf"}})  # fmt: skip
    made = _wf()
    made["spec"] = {"workflowTemplateRef": {"name": "shared"}}
    found = _run(lab, made)
    return found | {"labels": lab.view(lab.get("workflows/wf")["metadata"]["labels"])}


def invalid(lab: Lab) -> Any:
    """Taken by the API server, then failed by the controller."""
    leaf = _leaf("leaf")
    need = _leaf("need", "echo {{inputs.parameters.x}}")
    need["inputs"] = {"parameters": [{"name": "x"}]}
    a = _step("a", "leaf")
    both = _step("b", "leaf", dependencies=["a"], depends="a")
    lost = {"name": "a", "templateRef": {"name": "absent", "template": "x"}}
    made: dict[str, Any] = {
        "no-entrypoint": _wf(leaf, entrypoint="absent"),
        "empty-entrypoint": _wf(leaf, entrypoint=""),
        "no-template": _wf(_steps([_step("a", "absent")])),
        "twice": _wf(_steps([a, a]), leaf),
        "same-names": _wf(leaf, _leaf("leaf")),
        "two-kinds": _wf(_leaf("main", steps=[[a]]), leaf),
        "no-kind": _wf({"name": "main"}),
        "cycle": _wf(_dag(_step("a", "leaf", dependencies=["b"]), _step("b", "leaf", dependencies=["a"])), leaf),
        "absent-dependency": _wf(_dag(_step("a", "leaf", dependencies=["z"])), leaf),
        "both-depends": _wf(_dag(a, both), leaf),
        "bad-depends": _wf(_dag(a, _step("b", "leaf", depends="a &&")), leaf),
        "unknown-tag": _wf(_leaf("main", "echo {{inputs.parameters.zz}}")),
        "argument-missing": _wf(_steps([_step("a", "need")]), need),
        "workflow-parameter": _wf(_leaf("main", "echo {{workflow.parameters.zz}}")),
        "step-name": _wf(_steps([_step("a b", "leaf")]), leaf),
        "limit": _wf(_leaf("main", retryStrategy={"limit": "many"})),
        "exit": _wf(leaf, onExit="absent"),
        "image": _wf({"name": "main", "container": {"command": ["true"]}}),
        "template-ref": _wf(_steps([lost])),
        "item": _wf(_steps([_step("a", "need", arguments=_parameters(x="{{item}}"))]), need),
        "later": _wf(_steps([_step("a", "need", arguments=_parameters(x="{{steps.b.outputs.result}}"))]), need),
        "deadline": _wf(_steps([a], activeDeadlineSeconds=3), leaf),
        "parameter-value": _wf(need),
        "template-name": _wf(_leaf("Bad Name!"), entrypoint="Bad Name!"),
    }
    found = {}
    for name, body in made.items():
        body["metadata"]["name"] = name
        lab.create(body)
    for name in made:
        wf = lab.workflow(name)
        found[name] = [wf["status"]["phase"], lab.normal.text(wf["status"].get("message", ""))]
    return found


def image_that_is_not_there(lab: Lab) -> Any:
    leaf = {"name": "main", "container": {"image": "registry.invalid/none:1", "command": ["true"]}}
    lab.create(_wf(leaf))

    def held(wf: Object) -> bool:
        nodes = (wf.get("status", {}).get("nodes") or {}).values()
        return any("ImagePullBackOff" in n.get("message", "") or "ErrImagePull" in n.get("message", "") for n in nodes)

    wf = lab.until("workflows", "wf", held)
    (node,) = wf["status"]["nodes"].values()
    return {"phase": node["phase"], "message": node["message"].split(":")[0], "workflow": wf["status"]["phase"]}


def deleted_after_its_time(lab: Lab) -> Any:
    lab.create(_wf(_leaf("main"), ttlStrategy={"secondsAfterCompletion": 1}))
    lab.gone("workflows", "wf", 90)
    return lab.refused("GET", "workflows/wf")


def parallelism(lab: Lab) -> Any:
    main = _steps([_step("a", "leaf"), _step("b", "leaf")], parallelism=1)
    return _run(lab, _wf(main, _leaf("leaf", "sleep 1")))


def expressions(lab: Lab) -> Any:
    show = _leaf(
        "show",
        "echo '{{=inputs.parameters.x + \"!\"}}' '{{=asInt(inputs.parameters.n) * 2}}' '{{=sprig.upper(\"a\")}}'",
    )
    show["inputs"] = {"parameters": [{"name": "x"}, {"name": "n"}]}
    found = _run(lab, _wf(_steps([_step("a", "show", arguments=_parameters(x="v", n="3"))]), show))
    (pod,) = lab.items("pods")
    return found | {"log": lab.log(pod["metadata"]["name"], container="main")}


def volume_shared_by_steps(lab: Lab) -> Any:
    mount = [{"name": "work", "mountPath": "/work"}]
    write, read = _leaf("write", "echo kept > /work/f"), _script("read", "cat /work/f")
    write["container"]["volumeMounts"] = read["script"]["volumeMounts"] = mount
    lab.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "claim"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}})  # fmt: skip
    volumes = [{"name": "work", "persistentVolumeClaim": {"claimName": "claim"}}]
    return _run(lab, _wf(_steps([_step("w", "write")], [_step("r", "read")]), write, read, volumes=volumes))["phase"]
