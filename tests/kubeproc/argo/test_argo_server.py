"""The Argo Server's API through the official `argo_workflows` client, unmodified, on a whole embedded cluster."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import argo_workflows
import pytest
from argo_client import LOOSE, NAMESPACE, Argo, echo


@pytest.fixture(scope="module")
def argo(cluster: Path) -> Iterator[Argo]:
    found = Argo(cluster)
    yield found
    found.http.close()
    found.client.close()


def refused(call: Any, *arguments: Any, **named: Any) -> tuple[int, dict]:
    with pytest.raises(argo_workflows.ApiException) as failed:
        call(*arguments, **LOOSE, **named)
    return failed.value.status, json.loads(failed.value.body)


def node(workflow: dict, name: str) -> dict:
    return next(n for n in workflow["status"]["nodes"].values() if n["displayName"] == name)


def test_a_workflow_is_created_listed_and_read_and_deleted(argo: Argo) -> None:
    name = argo.submit([echo()])
    done = argo.wait(name)
    assert done["status"]["phase"] == "Succeeded"
    assert argo.workflows.get_workflow(NAMESPACE, name, **LOOSE)["metadata"]["name"] == name
    listed = argo.workflows.list_workflows(NAMESPACE, **LOOSE)
    assert name in [w["metadata"]["name"] for w in listed["items"]]
    argo.workflows.delete_workflow(NAMESPACE, name, **LOOSE)
    assert refused(argo.workflows.get_workflow, NAMESPACE, name) == (
        404,
        {"code": 5, "message": f'workflows.argoproj.io "{name}" not found'},
    )


def test_a_created_workflow_looks_as_go_prints_it(argo: Argo) -> None:
    manifest = {"metadata": {"name": "shape"}, "spec": {"entrypoint": "main", "templates": [echo()]}}
    made = argo.http.post(f"/api/v1/workflows/{NAMESPACE}", json={"workflow": manifest, "serverDryRun": True}).json()
    assert "kind" not in made
    assert made["status"] == {"startedAt": None, "finishedAt": None}
    assert made["spec"]["arguments"] == {}
    assert made["spec"]["templates"][0]["container"]["resources"] == {}
    assert made["metadata"]["labels"] == {"workflows.argoproj.io/creator": "kubernetes-admin"}
    assert argo.http.get(f"/api/v1/workflows/{NAMESPACE}/shape").status_code == 404


def test_a_list_of_nothing_has_null_items(argo: Argo) -> None:
    query = {"listOptions.labelSelector": "no=such"}
    assert argo.http.get(f"/api/v1/workflows/{NAMESPACE}", params=query).json()["items"] is None


def test_lists_are_selected_paged_and_cut_to_fields(argo: Argo) -> None:
    for number in range(3):
        manifest = {
            "metadata": {"name": f"page-{number}", "labels": {"set": "page"}},
            "spec": {"entrypoint": "main", "templates": [echo()], "suspend": True},
        }
        argo.workflows.create_workflow(NAMESPACE, {"workflow": manifest}, **LOOSE)
    query = {
        "listOptions.labelSelector": "set=page",
        "listOptions.limit": "2",
        "fields": "metadata,items.metadata.name",
    }
    first = argo.http.get(f"/api/v1/workflows/{NAMESPACE}", params=query).json()
    assert first["metadata"]["continue"] == "2"
    assert [set(w["metadata"]) for w in first["items"]] == [{"name", "creationTimestamp"}] * 2
    rest = argo.http.get(
        f"/api/v1/workflows/{NAMESPACE}", params=query | {"listOptions.continue": first["metadata"]["continue"]}
    ).json()
    assert "continue" not in rest["metadata"]
    names = [w["metadata"]["name"] for w in first["items"] + rest["items"]]
    assert sorted(names) == ["page-0", "page-1", "page-2"]
    query = {"listOptions.fieldSelector": "metadata.name=page", "nameFilter": "Prefix"}
    assert len(argo.http.get(f"/api/v1/workflows/{NAMESPACE}", params=query).json()["items"]) == 3
    for name in names:
        argo.workflows.delete_workflow(NAMESPACE, name, **LOOSE)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "words"),
    [
        ("POST", "/workflows/default", {}, 400, 3, "workflow body not specified"),
        ("POST", "/workflows/default", {"workflow": {"metadata": {"name": "x"}, "spec": {}}}, 400, 3, "spec.entrypoint"),
        ("POST", "/workflows/default/lint", {}, 500, 2, "unable to get a workflow"),
        ("POST", "/workflows/default/lint", {"workflow": {"spec": {"entrypoint": "x"}}}, 500, 2, "template name 'x' undef"),
        ("POST", "/workflows/default", {"workflow": {"spec": {"templates": {}}}}, 400, 3, "cannot unmarshal object"),
        ("POST", "/workflows/default/submit", {"resourceKind": "x"}, 400, 3, "Resource kind 'x' is not supported for"),
        (
            "POST", "/workflows/default/submit", {"resourceKind": "WorkflowTemplate", "resourceName": "none"}, 404, 5,
            'workflowtemplates.argoproj.io "none" not found',
        ),
        (
            "POST", "/workflows/default/submit",
            {"resourceKind": "WorkflowTemplate", "resourceName": "none", "submitOptions": {"labels": "a"}}, 500, 13,
            "expected labels of the form: NAME1=VALUE2,NAME2=VALUE2. Received: a: unexpected label spec: a",
        ),
        (
            "POST", "/workflows/default/submit",
            {"resourceKind": "WorkflowTemplate", "resourceName": "none", "submitOptions": {"parameters": ["a"]}}, 500, 13,
            "expected parameter of the form: NAME=VALUE. Received: a",
        ),
        ("PUT", "/workflows/default/none/stop", {}, 404, 5, 'workflows.argoproj.io "none" not found'),
        ("GET", "/workflows/default?listOptions.fieldSelector=a%3Db", None, 400, 3, "unsupported requirement a=b"),
        ("PUT", "/workflows/default/none/explode", {}, 501, 12, "Not Implemented"),
        ("GET", "/workflow-event-bindings/default", None, 501, 12, "workflow-event-bindings: not supported by the embedded"),
        ("POST", "/events/default/d", {}, 501, 12, "use `labkit up --engine kind`"),
        ("POST", "/tracking/event", {}, 501, 12, "use `labkit up --engine kind`"),
        ("GET", "/cron-workflows/default", None, 501, 12, "use `labkit up --engine kind`"),
        ("POST", "/workflow-templates/default", {}, 400, 3, "workflow template was not found in the request body"),
        ("GET", "/workflow-templates/default/none", None, 404, 5, 'workflowtemplates.argoproj.io "none" not found'),
    ],
)  # fmt: skip
def test_a_failed_call_has_the_code_and_words_of_argo(
    argo: Argo, method: str, path: str, body: dict | None, status: int, code: int, words: str
) -> None:
    answer = argo.http.request(method, "/api/v1" + path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert words in answer.json()["message"]


def test_a_workflow_is_submitted_from_a_template_with_options(argo: Argo) -> None:
    spec = {
        "entrypoint": "main",
        "arguments": {"parameters": [{"name": "word", "value": "template"}, {"name": "end", "value": "!"}]},
        "templates": [echo("main", "{{workflow.parameters.word}}{{workflow.parameters.end}}"), echo("other")],
    }
    template = {"metadata": {"name": "say"}, "spec": spec}
    made = argo.templates.create_workflow_template(NAMESPACE, {"template": template}, **LOOSE)
    assert made["metadata"]["name"] == "say"
    options = {"parameters": ["word=given"], "labels": "a=b", "annotations": "c=d", "generateName": "said-"}
    body = {"resourceKind": "WorkflowTemplate", "resourceName": "say", "submitOptions": options}
    sent = argo.workflows.submit_workflow(NAMESPACE, body, **LOOSE)
    name, labels = sent["metadata"]["name"], sent["metadata"]["labels"]
    assert name.startswith("said-")
    assert labels["a"] == "b"
    assert labels["workflows.argoproj.io/workflow-template"] == "say"
    assert argo.wait(name)["status"]["phase"] == "Succeeded"
    assert contents(argo, name) == ["given!"]
    dry = body | {"submitOptions": options | {"dryRun": True, "name": "dry"}}
    assert argo.workflows.submit_workflow(NAMESPACE, dry, **LOOSE)["metadata"]["name"] == "dry"
    assert argo.http.get(f"/api/v1/workflows/{NAMESPACE}/dry").status_code == 404
    argo.templates.delete_workflow_template(NAMESPACE, "say", **LOOSE)


def test_templates_are_listed_linted_and_replaced(argo: Argo) -> None:
    template = {"metadata": {"name": "t"}, "spec": {"templates": [echo()]}}
    argo.templates.create_workflow_template(NAMESPACE, {"template": template}, **LOOSE)
    stored = argo.http.get(f"/api/v1/workflow-templates/{NAMESPACE}/t").json()
    stored["spec"]["templates"].append(echo("two"))
    changed = argo.http.put(f"/api/v1/workflow-templates/{NAMESPACE}/t", json={"template": stored}).json()
    assert [t["name"] for t in changed["spec"]["templates"]] == ["main", "two"]
    assert changed["metadata"]["labels"]["workflows.argoproj.io/action"] == "Update"
    listed = argo.templates.list_workflow_templates(NAMESPACE, **LOOSE)
    assert [t["metadata"]["name"] for t in listed["items"]] == ["t"]
    wrong = {
        "metadata": {"name": "w"},
        "spec": {"templates": [{"name": "x", "steps": [[{"name": "a", "template": "b"}]]}]},
    }
    answer = argo.http.post(f"/api/v1/workflow-templates/{NAMESPACE}/lint", json={"template": wrong})
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    argo.templates.delete_workflow_template(NAMESPACE, "t", **LOOSE)


def test_expressions_and_loops_run_as_argos(argo: Argo) -> None:
    template = echo("each", "{{inputs.parameters.x}}") | {"inputs": {"parameters": [{"name": "x"}]}}
    value = (
        "{{=sprig.camelcase('a_b')}} {{=now().Year() > 2000}} {{=sprig.date('2006-01-02', 0)}} {{item.lr}} {{=item.lr}}"
    )
    call = {"name": "a", "template": "each", "arguments": {"parameters": [{"name": "x", "value": value}]}}
    name = argo.submit([{"name": "main", "steps": [[call | {"withParam": '[{"lr": 1e-05}]'}]]}, template])
    done = argo.wait(name)
    assert done["status"]["phase"] == "Succeeded"
    found = node(done, "a(0:lr:1e-05)")["inputs"]["parameters"]
    assert found == [{"name": "x", "value": "AB true 1970-01-01 1e-05 1e-05"}]


def test_a_function_that_is_not_supported_is_refused_at_create(argo: Argo) -> None:
    spec = {"entrypoint": "main", "templates": [echo("main", "{{=sprig.genPrivateKey('rsa')}}")]}
    manifest = {"metadata": {"name": "keys"}, "spec": spec}
    code, body = refused(argo.workflows.create_workflow, NAMESPACE, {"workflow": manifest})
    assert (code, body["code"]) == (400, 3)
    assert "sprig.genPrivateKey: not supported by the embedded cluster (no keys are made)" in body["message"]


def test_a_cluster_template_is_submitted(argo: Argo) -> None:
    template = {"metadata": {"name": "wide"}, "spec": {"entrypoint": "main", "templates": [echo("main", "wide")]}}
    argo.cluster_templates.create_cluster_workflow_template({"template": template}, **LOOSE)
    body = {"resourceKind": "ClusterWorkflowTemplate", "resourceName": "wide", "submitOptions": {"name": "widely"}}
    argo.workflows.submit_workflow(NAMESPACE, body, **LOOSE)
    assert argo.wait("widely")["status"]["phase"] == "Succeeded"
    argo.cluster_templates.delete_cluster_workflow_template("wide", **LOOSE)


def test_suspend_resume_stop_terminate_retry_and_resubmit(argo: Argo) -> None:
    gate = {"name": "main", "steps": [[{"name": "gate", "template": "gate"}], [{"name": "end", "template": "end"}]]}
    name = argo.submit([gate, {"name": "gate", "suspend": {}}, echo("end", "over")])
    until(lambda: "gate" in json.dumps(argo.get(name)["status"].get("nodes", {})))
    argo.workflows.suspend_workflow(NAMESPACE, name, {}, **LOOSE)
    assert argo.get(name)["spec"]["suspend"] is True
    argo.workflows.resume_workflow(NAMESPACE, name, {}, **LOOSE)
    assert argo.wait(name)["status"]["phase"] == "Succeeded"
    status, body = refused(argo.workflows.stop_workflow, NAMESPACE, name, {})
    assert (status, body["code"]) == (500, 13)
    assert refused(argo.workflows.retry_workflow, NAMESPACE, name, {})[0] == 400
    again = argo.workflows.resubmit_workflow(NAMESPACE, name, {}, **LOOSE)["metadata"]
    assert again["labels"]["workflows.argoproj.io/resubmitted-from-workflow"] == name
    until(lambda: "gate" in json.dumps(argo.get(again["name"])["status"].get("nodes", {})))
    argo.workflows.terminate_workflow(NAMESPACE, again["name"], {}, **LOOSE)
    assert argo.wait(again["name"])["status"]["phase"] == "Failed"
    labels = argo.get(again["name"])["metadata"]["labels"]
    assert labels["workflows.argoproj.io/action"] == "Terminate"
    assert labels["workflows.argoproj.io/actor"] == labels["workflows.argoproj.io/creator"] == "kubernetes-admin"


def test_a_failed_workflow_is_retried(argo: Argo) -> None:
    script = "test -z {{workflow.parameters.flag}}"
    failing = {"name": "main", "container": {"image": "busybox", "command": ["sh", "-c"], "args": [script]}}
    name = argo.submit([failing], arguments={"parameters": [{"name": "flag", "value": "none"}]})
    failed = argo.wait(name)
    assert failed["status"]["phase"] == "Failed"
    assert failed["status"]["message"] == "main: Error (exit code 1)"
    argo.workflows.retry_workflow(NAMESPACE, name, {"parameters": ["flag="]}, **LOOSE)
    assert argo.wait(name)["status"]["phase"] == "Succeeded"
    pods = argo.http.get(f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=workflows.argoproj.io/workflow={name}")
    assert [p["metadata"]["name"] for p in pods.json()["items"]] == [name]


def test_a_recreated_account_reports_with_a_new_token(argo: Argo) -> None:
    wanted = {"parameters": [{"name": "word", "valueFrom": {"path": "/tmp/word"}}]}
    main = {"name": "main", "container": {"image": "busybox", "command": ["sh", "-c", "echo said > /tmp/word"]}}
    accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
    before = argo.http.get(f"{accounts}/default").json()["metadata"]["uid"]
    for _ in range(2):
        done = argo.wait(argo.submit([main | {"outputs": wanted}]))
        assert done["status"]["phase"] == "Succeeded", done["status"]
        assert '"value": "said"' in json.dumps(done["status"]["nodes"])
        argo.http.delete(f"{accounts}/default")
        until(lambda: argo.http.get(f"{accounts}/default").status_code == 200)
    assert argo.http.get(f"{accounts}/default").json()["metadata"]["uid"] != before


def until(holds: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)  # the state is looked at again; the watch has a test of its own


def contents(argo: Argo, name: str, **query: str) -> list[str]:
    answer = argo.http.get(
        f"/api/v1/workflows/{NAMESPACE}/{name}/log", params={"logOptions.container": "main", **query}
    )
    return [json.loads(line)["result"]["content"] for line in answer.text.splitlines()]


def test_the_log_holds_the_lines_of_all_pods_in_order(argo: Argo) -> None:
    order = {"name": "main", "steps": [[{"name": "a", "template": "a"}], [{"name": "b", "template": "b"}]]}
    name = argo.submit([order, echo("a", "one"), echo("b", "two words")])
    workflow = argo.wait(name)
    assert contents(argo, name) == ["one", "two words"]
    assert contents(argo, name, grep="t.o") == ["two words"]
    assert contents(argo, name, grep="^(one|two) w") == ["two words"]
    status, body = refused(argo.workflows.workflow_logs, NAMESPACE, name, grep="(?=one)")
    assert status == 500
    assert "invalid or unsupported Perl syntax: `(?=`" in body["error"]["message"]
    (stamped,) = contents(argo, name, grep="one", **{"logOptions.timestamps": "true"})
    assert stamped.endswith("Z one")
    pods = [n["id"] for n in workflow["status"]["nodes"].values() if n["type"] == "Pod"]
    assert len(pods) == 2
    answer = argo.http.get(f"/api/v1/workflows/{NAMESPACE}/{name}/log", params={"logOptions.container": "main"})
    pod = json.loads(answer.text.splitlines()[1])["result"]["podName"]
    raw = argo.workflows.pod_logs(NAMESPACE, name, pod, log_options_container="main", _preload_content=False, **LOOSE)
    assert json.loads(raw.data)["result"] == {"content": "two words", "podName": pod}
    status, body = refused(argo.workflows.workflow_logs, NAMESPACE, "none", log_options_container="main")
    assert status == 404
    assert body["error"] == {
        "grpc_code": 5,
        "http_code": 404,
        "message": 'workflows.argoproj.io "none" not found',
        "http_status": "Not Found",
    }


def test_a_followed_log_ends_with_the_workflow_and_has_pods_that_start_later(argo: Argo) -> None:
    order = {"name": "main", "steps": [[{"name": "a", "template": "a"}], [{"name": "g", "template": "g"}],
                                       [{"name": "b", "template": "b"}]]}  # fmt: skip
    name = argo.submit([order, echo("a", "one"), {"name": "g", "suspend": {}}, echo("b", "two")])
    found: list[str] = []
    first = threading.Event()

    def follow() -> None:
        query = {"logOptions.container": "main", "logOptions.follow": "True"}
        with argo.http.stream("GET", f"/api/v1/workflows/{NAMESPACE}/{name}/log", params=query) as lines:
            for line in lines.iter_lines():
                found.append(json.loads(line)["result"]["content"])
                first.set()

    reader = threading.Thread(target=follow)
    reader.start()
    assert first.wait(20)
    assert found == ["one"]
    argo.workflows.resume_workflow(NAMESPACE, name, {}, **LOOSE)
    reader.join(20)
    assert found == ["one", "two"]


def test_events_come_as_lines_or_as_server_sent_events(argo: Argo) -> None:
    name = argo.submit([echo()])
    done = argo.wait(name)
    assert done["status"]["phase"] == "Succeeded"
    query = {"listOptions.fieldSelector": f"metadata.name={name}", "fields": "result.type,result.object.metadata.name"}
    wanted = {"result": {"type": "ADDED", "object": {"metadata": {"name": name}}}}
    headers = {"Accept": "text/event-stream"}
    with argo.http.stream("GET", f"/api/v1/workflow-events/{NAMESPACE}", params=query, headers=headers) as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        assert json.loads(next(events.iter_lines()).removeprefix("data: ")) == wanted
    query = {"listOptions.fieldSelector": f"involvedObject.name={name}"}
    with argo.http.stream("GET", f"/api/v1/stream/events/{NAMESPACE}", params=query) as events:
        event = json.loads(next(events.iter_lines()))["result"]
    assert event["involvedObject"]["namespace"] == NAMESPACE


def test_a_watch_ends_in_argos_words_when_its_time_is_over(argo: Argo) -> None:
    url, query = f"/api/v1/workflow-events/{NAMESPACE}", {"listOptions.fieldSelector": "metadata.name=nobody"}
    answer = argo.http.get(url, params=query | {"listOptions.timeoutSeconds": "1"})
    (line,) = answer.text.splitlines()
    assert json.loads(line) == {
        "error": {"grpc_code": 8, "http_code": 429, "message": "EOF", "http_status": "Too Many Requests"}
    }
    assert argo.http.get(url, params=query | {"listOptions.timeoutSeconds": "soon"}).status_code == 400


def test_artifacts_are_handed_out(argo: Argo) -> None:
    script = "mkdir /out && echo '<p>' > /out/index.txt && echo deep > /out/sub && head -c 3000000 /dev/zero > /tmp/big"
    out = [{"name": "page", "path": "/out", "archive": {"none": {}}}, {"name": "big", "path": "/tmp/big"}]
    main = {"name": "main", "container": {"image": "busybox", "command": ["sh", "-c"], "args": [script]},
            "outputs": {"artifacts": out}}  # fmt: skip
    name = argo.submit([main])
    workflow = argo.wait(name)
    assert workflow["status"]["phase"] == "Succeeded", workflow["status"]
    (only,) = workflow["status"]["nodes"].values()
    answer = argo.http.get(f"/artifacts/{NAMESPACE}/{name}/{only['id']}/big")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/gzip"
    assert answer.content[:2] == b"\x1f\x8b"
    uid = workflow["metadata"]["uid"]
    assert argo.http.get(f"/artifacts-by-uid/{uid}/{only['id']}/big").content == answer.content
    files = f"/artifact-files/{NAMESPACE}/workflows/{name}/{only['id']}/outputs/page"
    assert argo.http.get(files).status_code == 307
    assert 'href="./sub"' in argo.http.get(files + "/").text
    assert argo.http.get(files + "/sub").text == "deep\n"
    for path in ("/../../x", "/none"):
        assert argo.http.get(files + path).status_code in (404, 500)
    missing = argo.http.get(f"/artifacts/{NAMESPACE}/{name}/{only['id']}/none")
    assert (missing.status_code, missing.text) == (404, "Not Found: artifact not found: none, isInput=false\n")
    data = argo.artifacts.get_output_artifact(NAMESPACE, name, only["id"], "big", **LOOSE)
    assert data.read()[:2] == b"\x1f\x8b"


def test_what_the_server_says_of_itself(argo: Argo) -> None:
    assert argo.info.get_version(**LOOSE)["version"].startswith("v3.7")
    assert argo.info.get_user_info(**LOOSE)["subject"] == "kubernetes-admin"
    assert "modals" in argo.http.get("/api/v1/info").json()
    assert argo.http.get("/api/v1/archived-workflows").json()["items"] is None


def test_kubernetes_own_paths_are_not_shadowed(argo: Argo) -> None:
    assert argo.http.get("/api/v1/namespaces/default").json()["kind"] == "Namespace"
    assert argo.http.get("/api/v1").json()["kind"] == "APIResourceList"
    assert argo.http.get("/api/v1/pods").json()["kind"] == "PodList"
