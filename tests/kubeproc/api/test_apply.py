from __future__ import annotations

import json
from typing import Any

import httpx
import pytest


def config(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}} | spec


def apply(http: httpx.Client, namespace: str, body: Any, manager: str = "me", **params: str) -> httpx.Response:
    query = {"fieldManager": manager} | params
    headers = {"Content-Type": "application/apply-patch+yaml"}
    url = f"/api/v1/namespaces/{namespace}/configmaps/m"
    return http.patch(url, params=query, content=json.dumps(body), headers=headers)


def test_apply_creates_an_object_and_records_its_owners(http: httpx.Client, namespace: str) -> None:
    made = apply(http, namespace, config(data={"a": "1"}))
    assert made.status_code == 201
    (entry,) = made.json()["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["fieldsType"]) == ("me", "Apply", "FieldsV1")
    assert entry["fieldsV1"] == {"f:data": {"f:a": {}}}


def test_applying_the_same_again_changes_nothing(http: httpx.Client, namespace: str) -> None:
    first = apply(http, namespace, config(data={"a": "1"})).json()
    again = apply(http, namespace, config(data={"a": "1"}))
    assert again.status_code == 200
    assert again.json()["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_a_field_that_is_no_longer_applied_is_removed(http: httpx.Client, namespace: str) -> None:
    apply(http, namespace, config(data={"a": "1", "b": "2"}))
    apply(http, namespace, config(data={"c": "3"}), "other")
    made = apply(http, namespace, config(data={"a": "1"})).json()
    assert made["data"] == {"a": "1", "c": "3"}
    assert apply(http, namespace, config()).json()["data"] == {"c": "3"}


def test_a_field_of_another_manager_is_a_conflict(http: httpx.Client, namespace: str) -> None:
    apply(http, namespace, config(data={"a": "1"}))
    refused = apply(http, namespace, config(data={"a": "2"}), "other")
    assert refused.status_code == 409
    status = refused.json()
    assert status["message"] == 'Apply failed with 1 conflict: conflict with "me": .data.a'
    assert status["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "me"', "field": ".data.a"}
    ]


def test_several_conflicts_are_listed_by_manager(http: httpx.Client, namespace: str) -> None:
    apply(http, namespace, config(data={"a": "1", "b": "1"}))
    apply(http, namespace, config(data={"c": "1"}), "you")
    refused = apply(http, namespace, config(data={"a": "2", "b": "2", "c": "2"}), "other")
    words = (
        'Apply failed with 3 conflicts: conflicts with "me":\n- .data.a\n- .data.b\nconflicts with "you":\n- .data.c'
    )
    assert refused.json()["message"] == words


def test_force_takes_the_field_over(http: httpx.Client, namespace: str) -> None:
    apply(http, namespace, config(data={"a": "1"}))
    made = apply(http, namespace, config(data={"a": "2"}), "other", force="true").json()
    assert made["data"] == {"a": "2"}
    assert [e["manager"] for e in made["metadata"]["managedFields"]] == ["other"]


def test_applying_the_same_value_shares_the_ownership(http: httpx.Client, namespace: str) -> None:
    apply(http, namespace, config(data={"a": "1"}))
    assert apply(http, namespace, config(data={"a": "1"}), "other").status_code == 200
    assert apply(http, namespace, config()).json()["data"] == {"a": "1"}


def test_an_ordinary_update_takes_fields_away(http: httpx.Client, namespace: str) -> None:
    made = apply(http, namespace, config(data={"a": "1"})).json()
    url = f"/api/v1/namespaces/{namespace}/configmaps/m"
    changed = http.put(url, json=made | {"data": {"a": "2"}}, params={"fieldManager": "editor"}).json()
    assert {e["manager"]: e["operation"] for e in changed["metadata"]["managedFields"]} == {"editor": "Update"}
    refused = apply(http, namespace, config(data={"a": "3"}))
    assert 'conflict with "editor" using v1' in refused.json()["message"]


def test_what_was_never_applied_belongs_to_the_time_before(http: httpx.Client, namespace: str) -> None:
    http.post(f"/api/v1/namespaces/{namespace}/configmaps", json=config(data={"a": "1"}))
    assert 'conflict with "before-first-apply" using v1' in apply(
        http, namespace, config(data={"a": "2"})
    ).text.replace("\\", "")
    assert apply(http, namespace, config(data={"b": "2"})).json()["data"] == {"a": "1", "b": "2"}


def test_lists_with_keys_are_owned_item_by_item(http: httpx.Client, namespace: str) -> None:
    def service(*ports: dict[str, Any]) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": list(ports)}}

    def send(manager: str, *ports: dict[str, Any]) -> httpx.Response:
        headers = {"Content-Type": "application/apply-patch+yaml"}
        url = f"/api/v1/namespaces/{namespace}/services/s"
        return http.patch(url, params={"fieldManager": manager}, content=json.dumps(service(*ports)), headers=headers)

    assert send("me", {"name": "x", "port": 80}).status_code == 201
    assert send("you", {"name": "y", "port": 81}).status_code == 200
    refused = send("you", {"name": "y", "port": 81}, {"name": "z", "port": 80})
    assert refused.json()["details"]["causes"][0]["field"] == '.spec.ports[port=80,protocol="TCP"].name'
    made = send("me", {"name": "w", "port": 82}).json()
    assert sorted(p["port"] for p in made["spec"]["ports"]) == [81, 82]


@pytest.mark.parametrize(
    ("body", "params", "code", "words"),
    [
        (config(), {"fieldManager": ""}, 422, "fieldManager: Required value: is required for apply patch"),
        (config(bad={"x": 1}), {}, 500, ".bad: field not declared in schema"),
        ({"kind": "Pod", "apiVersion": "v1"}, {}, 400, "invalid object type"),
        (config(metadata={"name": "other"}), {}, 400, "does not match the name on the URL"),
        (config(metadata={"name": "m", "managedFields": [{"manager": "x"}]}), {}, 400, "managedFields must be nil"),
        ([1], {}, 400, "is not an object"),
    ],
)
def test_a_wrong_configuration_is_refused(
    http: httpx.Client, namespace: str, body: Any, params: dict[str, str], code: int, words: str
) -> None:
    refused = apply(http, namespace, body, **params)
    assert refused.status_code == code, refused.text
    assert words in refused.json()["message"]


def test_force_belongs_to_apply_only(http: httpx.Client, namespace: str) -> None:
    apply(http, namespace, config())
    headers = {"Content-Type": "application/merge-patch+json"}
    url = f"/api/v1/namespaces/{namespace}/configmaps/m"
    assert http.patch(url, params={"force": "true"}, content="{}", headers=headers).status_code == 422


def test_the_spec_of_a_workflow_template_has_one_owner(http: httpx.Client, namespace: str) -> None:
    """Its CustomResourceDefinition says that the spec is atomic."""
    url = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflowtemplates/t"
    headers = {"Content-Type": "application/apply-patch+yaml"}
    body: dict[str, Any] = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": {"name": "t"}}
    spec = {"entrypoint": "a", "templates": [{"name": "a", "suspend": {}}]}
    made = http.patch(url, params={"fieldManager": "me"}, json=body | {"spec": spec}, headers=headers)
    assert made.json()["metadata"]["managedFields"][0]["fieldsV1"] == {"f:spec": {}}
    other = body | {"spec": spec | {"parallelism": 1}}
    refused = http.patch(url, params={"fieldManager": "other"}, json=other, headers=headers)
    assert refused.json()["message"] == 'Apply failed with 1 conflict: conflict with "me": .spec'
