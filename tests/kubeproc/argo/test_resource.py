"""Resource templates through the executor, against a real API server; the test plays the controllers of the objects."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from argo_serving import Pod, Served, parameters, result
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeproc.argo.executor import resource_conditions
from kubeproc.argo.executor.task import TaskError
from kubeproc.argo.language import jsonpath_kubectl
from kubeproc.resources import CONFIGMAPS, TFJOBS, Resource

JOB = {
    "apiVersion": "kubeflow.org/v1",
    "kind": "TFJob",
    "metadata": {"name": "train"},
    "spec": {
        "tfReplicaSpecs": {
            "Worker": {
                "replicas": 2,
                "template": {"spec": {"containers": [{"name": "tensorflow", "image": "labkit/lab:1"}]}},
            }
        }
    },
}
MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"x": "1"}}
WATCHED = {"action": "create", "manifest": json.dumps(JOB), "successCondition": "status.replicaStatuses.Worker.succeeded = 2",
           "failureCondition": "status.replicaStatuses.Worker.failed > 0"}  # fmt: skip


def run(
    served: Served,
    resource: dict,
    *,
    outputs: list[dict] | None = None,
    play: Callable[[], Awaitable[None]] | None = None,
) -> Any:
    template = {"name": "t", "resource": resource, "outputs": {"parameters": outputs or []}}

    async def go() -> Any:
        async with served.client() as api:
            pod = Pod(served.home, api, template)
            working = asyncio.create_task(pod.run("main"))
            try:
                if play:
                    await play()
                outcome = await asyncio.wait_for(working, 20)
            finally:
                working.cancel()
            return outcome

    return asyncio.run(go())


def act(served: Served, action: str, manifest: Any, **more: Any) -> Any:
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    return run(served, {"action": action, "manifest": text, **more})


async def there(served: Served, resource: Resource, name: str) -> None:
    while served.store.find(resource, "default", name) is None:
        await asyncio.sleep(0.01)


def set_status(served: Served, status: dict) -> None:
    served.store.update_status(TFJOBS, served.store.get(TFJOBS, "default", "train") | {"status": status})


def play(served: Served, *states: dict) -> Callable[[], Awaitable[None]]:
    """Be the operator of the TFJob: one status after the other."""

    async def steps() -> None:
        await there(served, TFJOBS, "train")
        for state in states:
            await asyncio.sleep(0.05)
            set_status(served, {"replicaStatuses": state})

    return steps


def test_without_conditions_it_is_done_once_the_object_is_there(served: Served) -> None:
    outcome = act(served, "create", MAP)
    assert (outcome.code, outcome.message) == (0, "")
    assert served.store.get(CONFIGMAPS, "default", "c")["data"] == {"x": "1"}
    assert result(served) is None


def test_it_waits_until_every_success_condition_holds(served: Served) -> None:
    states = ({"Worker": {"active": 2}}, {"Worker": {"succeeded": 1}}, {"Worker": {"succeeded": 2}})
    outputs = [
        {"name": "done", "valueFrom": {"jsonPath": "{.status.replicaStatuses.Worker.succeeded}"}},
        {"name": "name", "valueFrom": {"jsonPath": "{.metadata.name}"}},
        {"name": "none", "valueFrom": {"jsonPath": "{.status.nothing}"}},
    ]
    outcome = run(served, WATCHED, outputs=outputs, play=play(served, *states))
    assert (outcome.code, outcome.message) == (0, "")
    assert parameters(result(served)) == {"done": "2", "name": "train", "none": ""}


def test_a_failure_condition_that_holds_fails_in_the_words_of_argo(served: Served) -> None:
    outcome = run(served, WATCHED, play=play(served, {"Worker": {"active": 2}}, {"Worker": {"failed": 1}}))
    assert outcome.code == 64
    assert outcome.message == "failure condition '{status.replicaStatuses.Worker.failed gt [0]}' evaluated true"


def test_an_object_deleted_while_it_is_watched_is_an_error(served: Served) -> None:
    async def delete() -> None:
        await there(served, TFJOBS, "train")
        await asyncio.sleep(0.1)
        served.store.delete(TFJOBS, "default", "train")

    outcome = run(served, WATCHED, play=delete)
    assert outcome.message == (
        "The resource has been deleted while its status was still being checked. Will not be retried: "
        'tfjobs.kubeflow.org "train" not found'
    )


def test_creating_an_existing_object_fails_with_kubectls_message(served: Served) -> None:
    act(served, "create", MAP)
    outcome = act(served, "create", MAP)
    assert outcome.message == (
        'no more retries Error from server (AlreadyExists): error when creating "/tmp/manifest.yaml": '
        'configmaps "c" already exists'
    )


def test_apply_creates_and_then_changes(served: Served) -> None:
    assert act(served, "apply", MAP).message == ""
    assert act(served, "apply", MAP | {"data": {"y": "2"}}).message == ""
    assert served.store.get(CONFIGMAPS, "default", "c")["data"] == {"y": "2"}


def test_patch_replace_and_get(served: Served) -> None:
    act(served, "create", MAP)
    assert act(served, "patch", MAP | {"data": {"y": "2"}}).message == ""
    assert served.store.get(CONFIGMAPS, "default", "c")["data"] == {"x": "1", "y": "2"}
    patch = '[{"op": "remove", "path": "/data/x"}]'
    assert act(served, "patch", patch, mergeStrategy="json", flags=["configmap", "c"]).message == ""
    assert served.store.get(CONFIGMAPS, "default", "c")["data"] == {"y": "2"}
    assert act(served, "replace", MAP | {"data": {"z": "3"}}).message == ""
    assert served.store.get(CONFIGMAPS, "default", "c")["data"] == {"z": "3"}
    asked = [{"name": "z", "valueFrom": {"jsonPath": "{.data.z}"}}]
    assert run(served, {"action": "get", "flags": ["configmap/c"]}, outputs=asked).message == ""
    assert parameters(result(served)) == {"z": "3"}


def test_delete_waits_until_the_object_is_gone_and_takes_a_missing_one(served: Served) -> None:
    held = MAP | {"metadata": {"name": "c", "finalizers": ["test/held"]}}
    act(served, "create", held)

    async def release() -> None:
        while not served.store.get(CONFIGMAPS, "default", "c")["metadata"].get("deletionTimestamp"):
            await asyncio.sleep(0.01)
        served.store.modify(CONFIGMAPS, "default", "c", lambda o: o["metadata"].pop("finalizers") and None)

    outcome = run(served, {"action": "delete", "manifest": json.dumps(MAP)}, play=release)
    assert (outcome.code, outcome.message) == (0, "")
    assert served.store.find(CONFIGMAPS, "default", "c") is None
    assert act(served, "delete", MAP).code == 0


def test_the_owner_is_the_workflow_where_the_template_wants_it(served: Served) -> None:
    act(served, "create", MAP, setOwnerReference=True)
    owner = served.store.get(CONFIGMAPS, "default", "c")["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Workflow", "wf", "uid-of-workflow")


def test_a_generated_name_is_the_same_for_the_same_pod(served: Served) -> None:
    made = MAP | {"metadata": {"generateName": "c-"}}
    assert act(served, "create", made).code == 0
    assert len([c for c in served.store.list(CONFIGMAPS, "default") if c["metadata"]["name"].startswith("c-")]) == 1
    assert "already exists" in act(served, "create", made).message


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"action": "create", "manifest": ""}, "Must provide at least one of flags or manifest."),
        ({"action": "create", "manifest": "a: [b"}, "error parsing /tmp/manifest.yaml"),
        ({"action": "create", "manifest": "a: 1\n---\nb: 2"}, "one object"),
        ({"action": "create", "manifest": '{"kind": "X"}'}, "apiVersion not set"),
        (
            {"action": "create", "manifest": '{"apiVersion": "a/v1", "kind": "X", "metadata": {"name": "x"}}'},
            'no matches for kind "X" in version "a/v1"',
        ),
        ({"action": "create", "manifest": json.dumps(MAP), "flags": ["--prune"]}, "flags: --prune: not supported"),
        ({"action": "explode", "manifest": json.dumps(MAP)}, "resource.action: explode"),
        ({"action": "get", "manifest": json.dumps(MAP)}, "no more retries Error from server (NotFound): configmaps"),
        (
            {"action": "delete", "manifest": json.dumps(MAP), "successCondition": "a = b"},
            "not supported for delete action",
        ),
        ({**WATCHED, "successCondition": "a ~ b"}, "success condition 'a ~ b' failed to parse"),
        ({**WATCHED, "failureCondition": "a > b"}, "fail condition 'a > b' failed to parse"),
    ],
)
def test_what_can_not_be_done_is_said(served: Served, resource: dict, words: str) -> None:
    outcome = run(served, resource)
    assert outcome.code == 64
    assert words in outcome.message


def test_a_spec_that_the_server_refuses_reads_as_from_kubectl(served: Served) -> None:
    bad = {**JOB, "metadata": {"name": "UPPER"}}
    outcome = act(served, "create", bad)
    assert outcome.message.startswith("no more retries The ")
    assert "is invalid" in outcome.message


# -- conditions ------------------------------------------------------------------------------------------------------

OBJ = {"status": {"n": 3, "on": True, "phase": "Done", "none": None, "list": [{"t": "Ready"}], "f": 1.5}}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("status.n = 3", True),
        ("status.n == 4", False),
        ("status.n > 2", True),
        ("status.n>2", True),
        ("status.n < 3", False),
        ("status.f > 1", False),
        ("status.on = true", True),
        ("status.phase in (Done, Failed)", True),
        ("status.phase notin (Done)", False),
        ("status.missing notin (Done)", True),
        ("status.missing != x", True),
        ("status.missing > 0", False),
        ("status.phase", True),
        ("!status.phase", False),
        ("!status.missing", True),
        ("status.none =", True),
        ("status.list.0.t = Ready", True),
        ("status.list.1.t", False),
    ],
)
def test_a_requirement_is_checked_as_a_label_selector(text: str, holds: bool) -> None:
    (requirement,) = resource_conditions.parse(text, "success")
    assert resource_conditions.holds(requirement, OBJ) is holds


def test_requirements_are_sorted_and_printed_as_go_prints_them() -> None:
    found = resource_conditions.parse("b in (y,x), a > 1", "fail")
    assert [str(r) for r in found] == ["{a gt [1]}", "{b in [x y]}"]


@settings(max_examples=200, deadline=None)
@given(st.text("ab.=!<>(), in0", max_size=20))
def test_any_text_is_parsed_or_refused_as_a_condition(text: str) -> None:
    found = []
    with contextlib.suppress(TaskError):
        found = resource_conditions.parse(text, "success")
    for requirement in found:
        resource_conditions.holds(requirement, OBJ)


ITEMS = {"items": [{"n": "a", "v": 1}, {"n": "b", "v": 2}], "a.b": {"c": "d"}, "b": True}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.items[0].n}", "a"),
        ("{.items[*].n}", "a b"),
        ("{.items[-1:].n}", "b"),
        ("{.items[?(@.v>1)].n}", "b"),
        ('{.items[?(@.n=="a")].v}', "1"),
        ("{.a\\.b.c}", "d"),
        ("{['a.b']['c']}", "d"),
        ("{..v}", "1 2"),
        ("{.b}", "true"),
        ("{.items[0]}", '{"n":"a","v":1}'),
        ("n={.items[1].n};", "n=b;"),
        ('{range .items[*]}{.n}{"\\n"}{end}', "a\nb\n"),
        ("{.nothing.at.all}", ""),
    ],
)
def test_a_jsonpath_prints_what_kubectl_prints(template: str, text: str) -> None:
    assert jsonpath_kubectl.evaluate(ITEMS, template) == text


def test_a_broken_jsonpath_is_refused() -> None:
    with pytest.raises(jsonpath_kubectl.JsonPathError, match="error parsing jsonpath"):
        jsonpath_kubectl.evaluate(ITEMS, "{.items[}")


def test_jq_filters_are_refused_before_anything_is_done(served: Served) -> None:
    asked = [{"name": "x", "valueFrom": {"jqFilter": ".x"}}]
    outcome = run(served, {"action": "create", "manifest": json.dumps(MAP)}, outputs=asked)
    assert "jqFilter: not supported by the embedded cluster" in outcome.message
    assert served.store.find(CONFIGMAPS, "default", "c") is None


@pytest.mark.parametrize("owned", [False, True])
def test_a_manifest_of_several_documents_is_refused_before_anything_is_made(served: Served, owned: bool) -> None:
    several = "\n---\n".join(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}" for name in ("one", "two"))
    outcome = run(served, {"action": "create", "manifest": several, "setOwnerReference": owned})
    assert outcome.message == "a resource template's manifest is one object, this one has several"
    assert served.store.list(CONFIGMAPS, "default") == []
