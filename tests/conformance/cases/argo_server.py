"""The Argo Server: answers and refusals of what the official client calls."""

from __future__ import annotations

from typing import Any

from ..lab import Lab, Object
from .workflows import _leaf, _step, _steps, _wf


def _told(lab: Lab, method: str, path: str, body: Any = None, **query: Any) -> Any:
    """Code and error; of an answer only its keys."""
    answer = lab.argo(method, path, body, **query)
    shown = answer.body
    if answer.code == 200 and isinstance(shown, dict):
        shown = sorted(shown)
    return lab.normal.value([answer.code, shown])


def created(lab: Lab) -> Any:
    answer = lab.argo("POST", "workflows/{ns}", {"workflow": _wf(_leaf("main"))})
    body = lab.view(answer.body)
    return [answer.code, body]


def refused(lab: Lab) -> Any:
    def sent(workflow: Any) -> Any:
        return _told(lab, "POST", "workflows/{ns}", {"workflow": workflow})

    unnamed = _wf(_leaf("main"))
    unnamed["metadata"] = {}
    return {
        "entrypoint": sent(_wf(_leaf("leaf"), entrypoint="absent")),
        "template": sent(_wf(_steps([_step("a", "absent")]))),
        "tag": sent(_wf(_leaf("main", "echo {{inputs.parameters.zz}}"))),
        "nothing": _told(lab, "POST", "workflows/{ns}", {}),
        "no name": sent(unnamed),
        "upper": sent(_wf(_leaf("main"), name="Upper")),
        "broken": _told(lab, "POST", "workflows/{ns}", "{"),
        "unknown field": sent(_wf(_leaf("main"), no_such_field=1)),
        "type": sent(_wf(_leaf("main")) | {"spec": {"templates": "text"}}),
        "dry run": _told(lab, "POST", "workflows/{ns}", {"workflow": _wf(_leaf("main")), "serverDryRun": True}),
    }


def exists(lab: Lab) -> Any:
    body = {"workflow": _wf(_leaf("main"), suspend=True)}
    lab.argo("POST", "workflows/{ns}", body)
    return _told(lab, "POST", "workflows/{ns}", body)


def absent(lab: Lab) -> Any:
    verbs = ("retry", "resubmit", "suspend", "resume", "stop", "terminate", "set")
    found = {verb: _told(lab, "PUT", f"workflows/{{ns}}/zz/{verb}", {}) for verb in verbs}
    return found | {
        "get": _told(lab, "GET", "workflows/{ns}/zz"),
        "delete": _told(lab, "DELETE", "workflows/{ns}/zz"),
        "template": _told(lab, "GET", "workflow-templates/{ns}/zz"),
        "cluster template": _told(lab, "GET", "cluster-workflow-templates/zz"),
        "path": _told(lab, "GET", "nothing"),
        "log": _told(lab, "GET", "workflows/{ns}/zz/log"),
        "submit": _told(
            lab, "POST", "workflows/{ns}/submit", {"resourceKind": "WorkflowTemplate", "resourceName": "zz"}
        ),
        "submit kind": _told(lab, "POST", "workflows/{ns}/submit", {"resourceKind": "Thing", "resourceName": "zz"}),
    }


def of_a_finished_one(lab: Lab) -> Any:
    lab.create(_wf(_leaf("main")))
    lab.workflow("wf")
    verbs = ("retry", "suspend", "resume", "stop", "terminate", "set")
    return {verb: _told(lab, "PUT", f"workflows/{{ns}}/wf/{verb}", {}) for verb in verbs}


def linted(lab: Lab) -> Any:
    template = {
        "metadata": {"name": "t"},
        "spec": {"templates": [_steps([_step("a", "absent")])], "entrypoint": "main"},
    }
    return {
        "good": _told(lab, "POST", "workflows/{ns}/lint", {"workflow": _wf(_leaf("main"))}),
        "bad": _told(lab, "POST", "workflows/{ns}/lint", {"workflow": _wf(_steps([_step("a", "absent")]))}),
        "template": _told(lab, "POST", "workflow-templates/{ns}/lint", {"template": template}),
    }


def templates(lab: Lab) -> Any:
    leaf = _leaf("leaf", "echo {{inputs.parameters.x}}")
    leaf["inputs"] = {"parameters": [{"name": "x", "value": "1"}]}
    spec = {"templates": [leaf], "entrypoint": "leaf", "arguments": {"parameters": [{"name": "p", "value": "1"}]}}
    made = lab.argo("POST", "workflow-templates/{ns}", {"template": {"metadata": {"name": "t"}, "spec": spec}})
    options: Object = {"name": "run", "labels": "a=b", "parameters": ["p=2"]}
    submit = {"resourceKind": "WorkflowTemplate", "resourceName": "t", "submitOptions": options}
    ran = lab.argo("POST", "workflows/{ns}/submit", submit)
    wrong = options | {"name": "other", "parameters": ["nonsense"]}
    labels = options | {"name": "other", "labels": "nonsense"}
    return {
        "made": [made.code, lab.view(made.body)],
        "again": _told(lab, "POST", "workflow-templates/{ns}", {"template": {"metadata": {"name": "t"}, "spec": spec}}),
        "ran": [ran.code, lab.view(ran.body)],
        "wrong": _told(lab, "POST", "workflows/{ns}/submit", submit | {"submitOptions": wrong}),
        "labels": _told(lab, "POST", "workflows/{ns}/submit", submit | {"submitOptions": labels}),
        "listed": _told(lab, "GET", "workflow-templates/{ns}"),
        "deleted": _told(lab, "DELETE", "workflow-templates/{ns}/t"),
    }


def listed(lab: Lab) -> Any:
    empty = lab.argo("GET", "workflows/{ns}")
    lab.create(_wf(_leaf("main"), suspend=True))
    some = lab.argo("GET", "workflows/{ns}", fields="metadata,items.metadata.name")
    selected = lab.argo("GET", "workflows/{ns}", **{"listOptions.labelSelector": "zz=1"})
    bad = _told(lab, "GET", "workflows/{ns}", **{"listOptions.labelSelector": "a in b"})
    return {
        "empty": lab.view(empty.body.get("items")),
        "some": lab.view(some.body.get("items")),
        "selected": lab.view(selected.body.get("items")),
        "bad": bad,
        "deleted": _told(lab, "DELETE", "workflows/{ns}/wf"),
    }


def logs(lab: Lab) -> Any:
    lab.create(_wf(_leaf("main", "echo one; echo two")))
    lab.workflow("wf")
    answer = lab.argo("GET", "workflows/{ns}/wf/log", **{"logOptions.container": "main"})
    lines = answer.body.strip().split("\n") if isinstance(answer.body, str) else [answer.body]
    return {"code": answer.code, "lines": [lab.normal.value(n) for n in lines if "sub-process exited" not in n]}


def information(lab: Lab) -> Any:
    return {path: _told(lab, "GET", path) for path in ("info", "version", "userinfo")}


def resubmitted(lab: Lab) -> Any:
    lab.create(_wf(_leaf("main")))
    lab.workflow("wf")
    answer = lab.argo("PUT", "workflows/{ns}/wf/resubmit", {})
    meta = answer.body["metadata"]
    kept = {k: lab.view(meta.get(k)) for k in ("generateName", "labels", "annotations")}
    return [answer.code, kept, sorted(answer.body["spec"])]


def through_the_client(lab: Lab) -> Any:
    """What the official argo-workflows client returns and raises."""
    import argo_workflows
    from argo_workflows.api import workflow_service_api

    configuration = argo_workflows.Configuration(host=lab.engine.argo)
    configuration.ssl_ca_cert = lab.engine.api.configuration.ssl_ca_cert
    configuration.verify_ssl = lab.engine.argo == lab.engine.url
    token = lab.engine.api.configuration.auth_settings().get("BearerToken", {}).get("value")
    if token:
        configuration.api_key = {"BearerToken": token}
    client = argo_workflows.ApiClient(configuration)
    service = workflow_service_api.WorkflowServiceApi(client)
    made = service.create_workflow(lab.ns, {"workflow": _wf(_leaf("main"))}, _check_return_type=False)
    try:
        service.get_workflow(lab.ns, "absent", _check_return_type=False)
        error: Any = ""
    except argo_workflows.ApiException as raised:
        error = [type(raised).__name__, raised.status, lab.normal.text(raised.body)]
    finally:
        client.close()
    lab.workflow("wf")
    return {"name": made["metadata"]["name"], "error": error}
