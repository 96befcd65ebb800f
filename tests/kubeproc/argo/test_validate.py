"""What is refused before it runs, in Argo's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from play import Object, Play, container, script, world

from kubeproc.argo.language import sprig
from kubeproc.argo.validation.validate import Invalid, validate, validate_template
from kubeproc.resources import WORKFLOWTEMPLATES

WORK = container("work")


def check(*templates: Object, name: str = "wf", **more: Any) -> None:
    spec = {"entrypoint": "main", "templates": [*templates, WORK], **more}
    validate({"metadata": {"name": name, "namespace": "default"}, "spec": spec}, world())


def steps(*steps: Object, **more: Any) -> Object:
    return {"name": "main", "steps": [[step] for step in steps], **more}


def dag(*tasks: Object, **more: Any) -> Object:
    return {"name": "main", "dag": {"tasks": list(tasks), **more}}


def step(name: str = "a", template: str = "work", **more: Any) -> Object:
    return {"name": name, "template": template, **more}


def given(value: str) -> Object:
    return {"parameters": [{"name": "p", "value": value}]}


TAKES = container("takes", inputs={"parameters": [{"name": "p"}]})

REFUSED: list[tuple[str, tuple[Object, ...], Object]] = [
    ("spec.entrypoint is required", (), {"entrypoint": ""}),
    ("template name 'main' undefined", (), {}),
    ("templates.main.steps[0].a template name 'none' undefined", (steps(step(template="none")),), {}),
    ("templates.main.tasks.a template name 'none' undefined", (dag(step(template="none")),), {}),
    ("templates.main.steps[0].name is required", (steps(step("")),), {}),
    ("templates.main.steps[1].name 'a' is not unique", (steps(step(), step()),), {}),
    ("templates.main.tasks[1].name 'a' is not unique", (dag(step(), step()),), {}),
    ("templates.main must have at least one task", (dag(),), {}),
    ("templates.main sorting failed: graph with cycle", (dag(step("a", depends="b"), step("b", depends="a")),), {}),
    ("templates.main.tasks. dependency 'none' not defined", (dag(step(depends="none")),), {}),
    ("templates.main sorting failed: invalid dependency none", (dag(step(dependencies=["none"])),), {}),
    (
        "templates.main cannot use both 'depends' and 'dependencies' in the same DAG template",
        (dag(step("a"), step("b", depends="a"), step("c", dependencies=["a"])),),
        {},
    ),
    (
        "templates.main cannot use 'continueOn' when using 'depends'. Instead use 'dep-task.Failed'/'dep-task.Errored'",
        (dag(step("a", continueOn={"failed": True}), step("b", depends="a")),),
        {},
    ),
    ("templates.main.tasks.b task result 'Done' for task 'a' is invalid", (dag(step("a"), step("b", depends="a.Done")),), {}),
    ("templates.main.targets: target 'x' is not defined", (dag(step(), target="x"),), {}),
    (
        "templates.main.activeDeadlineSeconds is only valid for leaf templates",
        (steps(step(), activeDeadlineSeconds=5),),
        {},
    ),
    ("templates.main.parallelism is only valid for steps and dag templates", (container(parallelism=1),), {}),
    ("templates.main.container.image may not be empty", ({"name": "main", "container": {}},), {}),
    (
        "templates.main template type unspecified. choose one of: container, containerSet, steps, script, resource, dag, "
        "suspend, template, template ref",
        ({"name": "main"},),
        {},
    ),
    (
        "templates.main multiple template types specified. choose one of: container, containerSet, steps, script, "
        "resource, dag, suspend, template, template ref",
        (container(suspend={}),),
        {},
    ),
    ("templates.main: failed to resolve {{inputs.parameters.x}}", (container(env="{{inputs.parameters.x}}"),), {}),
    ("templates.main.steps failed to resolve {{steps.later.outputs.result}}",
     (steps(step(when="{{steps.later.outputs.result}} == 1")),), {}),
    ("templates.main.tasks.a missing dependency 'b' for parameter 'p'",
     (dag(step("a", "takes", arguments=given("{{tasks.b.id}}")), step("b")), TAKES), {}),
    ("templates.main.steps[0].a templates.takes inputs.parameters.p was not supplied", (steps(step("a", "takes")), TAKES), {}),
    ("templates.main inputs.parameters.p was not supplied", (container(inputs={"parameters": [{"name": "p"}]}),), {}),
    ("spec.arguments.x.value or spec.arguments.x.valueFrom is required", (container(),),
     {"arguments": {"parameters": [{"name": "x"}]}}),
    ("spec.arguments.parameters[0].name: 'a b' is invalid: Parameter/Artifact name must consist of alpha-numeric "
     "characters, '_' or '-' e.g. my_param_1, MY-PARAM-1", (container(),),
     {"arguments": {"parameters": [{"name": "a b", "value": "1"}]}}),
    ("templates.main.outputs.parameters.o.path must be specified for Container templates",
     (container(outputs={"parameters": [{"name": "o", "valueFrom": {"parameter": "x"}}]}),), {}),
    ("templates.main.steps[0].a only one of withItems, withParam, withSequence can be specified",
     (steps(step(withItems=[1], withParam="[]")),), {}),
    ("templates.main.resource.action must be one of: get, create, apply, delete, replace, patch",
     ({"name": "main", "resource": {"action": "make"}},), {}),
    ("Sometimes is not a valid RetryPolicy", (container(retryStrategy={"retryPolicy": "Sometimes"}),), {}),
    ("podGC.strategy unknown strategy 'Never'", (container(),), {"podGC": {"strategy": "Never"}}),
    ("hooks.a Expression required", (container(),), {"hooks": {"a": {"template": "work"}}}),
    ("template name 'none' undefined", (container(),), {"onExit": "none"}),
    ("spec.templates[1].name 'main' is not unique", (container(), container()), {}),
]  # fmt: skip


@pytest.mark.parametrize(("words", "templates", "more"), REFUSED, ids=[words[:60] for words, _, _ in REFUSED])
def test_what_cannot_run_is_refused(words: str, templates: tuple[Object, ...], more: Object) -> None:
    with pytest.raises(Invalid) as error:
        check(*templates, **more)
    assert str(error.value) == words


def test_a_name_has_its_limit() -> None:
    with pytest.raises(Invalid, match=r"must not be more than 63 characters long \(currently 64\)"):
        check(container(), name="w" * 64)


@pytest.mark.parametrize(
    "template",
    [
        {"name": "main", "http": {"url": "http://localhost"}},
        {"name": "main", "plugin": {"hello": {}}},
        {"name": "main", "containerSet": {"containers": []}},
        {"name": "main", "data": {"source": {}}},
        container(daemon=True),
        container(metrics={"prometheus": []}),
    ],
)
def test_an_unsupported_field_is_refused_with_its_path(template: Object) -> None:
    with pytest.raises(Invalid) as error:
        check(template)
    field = next(k for k in ("http", "plugin", "containerSet", "data", "daemon", "metrics") if k in template)
    assert str(error.value).startswith(f"templates.main.{field}: not supported by the embedded cluster")
    assert "labkit up --engine kind" in str(error.value)


def takes(**artifact: Any) -> Object:
    return {"inputs": {"artifacts": [{"name": "a", "path": "/tmp/a", **artifact}]}}


def gives(**parameter: Any) -> Object:
    return {"outputs": {"parameters": [{"name": "p", "valueFrom": parameter}]}}


APPLY = {"name": "main", "resource": {"action": "create", "manifest": "kind: Pod", "flags": ["--selector", "a=b"]}}
ELSEWHERE: list[tuple[str, Object, Object]] = [
    *[(f"templates.main.inputs.artifacts.a.{kind}", container(**takes(**{kind: {"repo": "r"}})), {})
      for kind in ("git", "gcs", "azure", "oss", "hdfs", "artifactory", "plugin")],
    ("templates.main.inputs.artifacts.a.http.auth", container(**takes(http={"url": "u", "auth": {"basicAuth": {}}})), {}),
    ("templates.main.outputs.artifacts.a.gcs",
     container(outputs={"artifacts": [{"name": "a", "path": "/a", "gcs": {"key": "k"}}]}), {}),
    ("templates.main.archiveLocation.azure", container(archiveLocation={"azure": {"blob": "b"}}), {}),
    ("templates.main.steps[0].a.arguments.artifacts.a.git",
     steps(step(arguments={"artifacts": [{"name": "a", "git": {"repo": "r"}}]})), {}),
    ("templates.main.dag.tasks.a.arguments.artifacts.a.oss",
     dag(step(arguments={"artifacts": [{"name": "a", "oss": {"key": "r"}}]})), {}),
    ("spec.arguments.artifacts.a.git", container(), {"arguments": {"artifacts": [{"name": "a", "git": {"repo": "r"}}]}}),
    ("templates.main.inputs.artifacts.a.path", container(**takes(path="/usr/local/bin/kubectl", raw={"data": ""})), {}),
    ("templates.main.outputs.parameters.p.valueFrom.jqFilter",
     APPLY | {"resource": {"action": "get", "flags": ["pod/x"]}} | gives(jqFilter=".x"), {}),
    ("templates.main.resource.flags: --selector", APPLY, {}),
]  # fmt: skip


@pytest.mark.parametrize(("field", "template", "more"), ELSEWHERE, ids=[field for field, _, _ in ELSEWHERE])
def test_what_would_fail_only_when_it_runs_is_refused_before(field: str, template: Object, more: Object) -> None:
    with pytest.raises(Invalid) as error:
        check(template, **more)
    assert str(error.value).startswith(f"{field}: not supported by the embedded cluster")
    assert str(error.value).endswith("; use `labkit up --engine kind`")


BCRYPT = "{{=sprig.bcrypt('x')}}"
CALLS: list[tuple[str, tuple[Object, ...], Object]] = [
    ("templates.main.container.args[1]: sprig.bcrypt",
     ({"name": "main", "container": {"image": "i", "args": ["a", BCRYPT]}},), {}),
    ("templates.main.script.source: sprig.genCA",
     (script("main") | {"script": {"image": "i", "source": "x\n{{= 1 > 2 ? '' : sprig.genCA('a', 1).Cert }}"}},), {}),
    ("templates.main.steps[0][0].when: sprig.htpasswd", (steps(step(when="{{=sprig.htpasswd('a', 'b')}} == x")),), {}),
    ("templates.main.dag.tasks[0].arguments.parameters[0].value: sprig.getHostByName",
     (dag(step("a", "takes", arguments=given("{{=sprig.getHostByName('h')}}"))), TAKES), {}),
    ("templates.main.steps[0][0].hooks.x.expression: sprig.genPrivateKey",
     (steps(step(hooks={"x": {"expression": "sprig.genPrivateKey('rsa') != ''", "template": "work"}})),), {}),
    ("templates.main.outputs.parameters[0].valueFrom.expression: sprig.bcrypt",
     (steps(step()) | gives(expression="sprig.bcrypt('x')"),), {}),
    ("spec.arguments.parameters[0].value: sprig.bcrypt", (container(),), {"arguments": given(BCRYPT)}),
    ("spec.workflowMetadata.labelsFrom.l.expression: sprig.bcrypt", (container(),),
     {"workflowMetadata": {"labelsFrom": {"l": {"expression": "sprig.bcrypt('x')"}}}}),
    ("spec.templateDefaults.container.args[0]: sprig.bcrypt", (container(),),
     {"templateDefaults": {"container": {"args": [BCRYPT]}}}),
]  # fmt: skip


@pytest.mark.parametrize(("where", "templates", "more"), CALLS, ids=[where for where, _, _ in CALLS])
def test_a_function_that_is_not_supported_is_refused_by_name(
    where: str, templates: tuple[Object, ...], more: Object
) -> None:
    """Argo's passes leave an expression that fails as a text, with which the workflow would succeed."""
    with pytest.raises(Invalid) as error:
        check(*templates, **more)
    assert str(error.value).startswith(f"{where}: not supported by the embedded cluster (")
    assert str(error.value).endswith("; use `labkit up --engine kind`")


def test_the_page_of_differences_names_every_function_that_is_refused() -> None:
    page = (Path(__file__).parents[3] / "docs" / "differences.md").read_text()
    assert not [name for name in sprig.REFUSED if f"`{name}`" not in page]


def test_a_custom_resource_with_such_a_function_fails_before_anything_runs() -> None:
    play = Play({"entrypoint": "work", "templates": [WORK], "arguments": given(BCRYPT)})
    play.settle()
    assert play.phase == "Failed"
    assert play.message.startswith("invalid spec: spec.arguments.parameters[0].value: sprig.bcrypt: not supported")
    assert not play.pods()


def test_paths_and_flags_that_are_understood_pass() -> None:
    there = container(**takes(path="/usr/share/v/a", raw={"data": ""}))
    there["container"]["volumeMounts"] = [{"name": "v", "mountPath": "/usr/share/v"}]
    check(there)
    check(container(**takes(path="/opt-of-mine/a", raw={"data": ""})))
    check(
        APPLY | {"resource": {"action": "get", "flags": ["pod", "{{workflow.name}}", "-n", "x", "--ignore-not-found"]}}
    )


def test_a_valid_workflow_passes() -> None:
    check(
        steps(step("a", "say"), step("b", "takes", arguments=given("{{steps.a.outputs.result}} {{workflow.name}}")),
              step("c", "takes", arguments=given("{{item.x}}"), withParam="{{steps.a.outputs.result}}")),
        TAKES,
        script("say", retryStrategy={"limit": 1}, env="{{retries}} {{pod.name}} {{=anything}}"),
        arguments={"parameters": [{"name": "a", "value": 1}]},
    )  # fmt: skip


def test_an_invalid_workflow_is_failed_by_the_controller() -> None:
    play = Play({"entrypoint": "main", "templates": [WORK]})
    play.settle()
    assert (play.phase, play.message) == ("Failed", "invalid spec: template name 'main' undefined")
    assert play.workflow["metadata"]["labels"]["workflows.argoproj.io/completed"] == "true"


def test_a_workflow_template_may_leave_its_parameters_open() -> None:
    store = world()
    spec = {"entrypoint": "main", "arguments": {"parameters": [{"name": "p"}]},
            "templates": [container(env="{{workflow.parameters.p}}")]}  # fmt: skip
    template = {"kind": "WorkflowTemplate", "metadata": {"name": "t", "namespace": "default"}, "spec": spec}
    validate_template(template, store)
    store.create(WORKFLOWTEMPLATES, template)
    workflow: Object = {
        "metadata": {"name": "w", "namespace": "default"},
        "spec": {"workflowTemplateRef": {"name": "t"}},
    }
    with pytest.raises(Invalid, match=r"spec.arguments.p.value or spec.arguments.p.valueFrom is required"):
        validate(workflow, store)
    workflow["spec"]["arguments"] = given("1")
    validate(workflow, store)
    workflow["spec"]["workflowTemplateRef"]["name"] = "none"
    with pytest.raises(Invalid, match=r'workflowtemplates.argoproj.io "none" not found'):
        validate(workflow, store)
