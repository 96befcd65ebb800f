from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

JSON, MERGE = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

CONTAINERS = [
    {"name": "a", "image": "busybox", "env": [{"name": "X", "value": "1"}]},
    {"name": "b", "image": "busybox"},
]


def make(http: httpx.Client, namespace: str) -> str:
    """A deployment with two containers that no pod comes of."""
    url = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": CONTAINERS}}
    spec = {"replicas": 0, "paused": True, "selector": {"matchLabels": {"app": "x"}}, "template": template}
    made = http.post(url, json={"metadata": {"name": "d", "labels": {"app": "x"}}, "spec": spec})
    assert made.status_code == 201, made.text
    return url + "/d"


def patch(http: httpx.Client, url: str, media: str, change: Any, **params: str) -> httpx.Response:
    return http.patch(url, params=params, content=json.dumps(change), headers={"Content-Type": media})


def patched(http: httpx.Client, url: str, media: str, change: Any) -> dict[str, Any]:
    answer = patch(http, url, media, change)
    assert answer.status_code == 200, answer.text
    return answer.json()


def of_pod(containers: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": containers}}}


def containers(obj: dict[str, Any]) -> list[dict[str, Any]]:
    return obj["spec"]["template"]["spec"]["containers"]


def test_a_json_patch_is_applied_in_order(http: httpx.Client, namespace: str) -> None:
    url = make(http, namespace)
    change = [
        {"op": "test", "path": "/spec/replicas", "value": 0},
        {"op": "add", "path": "/metadata/labels/more", "value": "y"},
        {"op": "remove", "path": "/spec/template/spec/containers/0"},
    ]
    made = patched(http, url, JSON, change)
    assert made["metadata"]["labels"] == {"app": "x", "more": "y"}
    assert [c["name"] for c in containers(made)] == ["b"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ([{"op": "test", "path": "/spec/replicas", "value": 7}], 422),
        ([{"op": "jump", "path": "/spec"}], 422),
        ([{"op": "remove", "path": "/nothing/here"}], 422),
        ([{"op": "add", "path": "/spec/replicas"}], 422),
        ([{"op": "replace", "path": "", "value": 5}], 422),
        ([{"op": "replace", "path": "/spec/replicas", "value": "many"}], 422),
        ([{"path": 5}], 422),
        ({"op": "remove"}, 400),
        ([5], 400),
        ("x", 400),
    ],
)
def test_a_json_patch_that_fails_is_refused(http: httpx.Client, namespace: str, change: Any, code: int) -> None:
    url = make(http, namespace)
    assert patch(http, url, JSON, change).status_code == code
    assert http.get(url).json()["spec"]["replicas"] == 0


def test_a_merge_patch_replaces_lists_and_removes_nulls(http: httpx.Client, namespace: str) -> None:
    url = make(http, namespace)
    change = of_pod({"containers": [{"name": "c", "image": "busybox"}]}) | {"metadata": {"labels": {"app": None}}}
    made = patched(http, url, MERGE, change)
    assert [c["name"] for c in containers(made)] == ["c"]
    assert "labels" not in made["metadata"]


def test_a_strategic_merge_merges_lists_by_key(http: httpx.Client, namespace: str) -> None:
    url = make(http, namespace)
    change = of_pod({"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "3"}]}]})
    first = containers(patched(http, url, STRATEGIC, change))[0]
    assert first["image"] == "busybox"
    assert first["env"] == [{"name": "Y", "value": "2"}, {"name": "X", "value": "3"}]


def test_an_added_item_stands_where_a_real_cluster_puts_it(http: httpx.Client, namespace: str) -> None:
    url = make(http, namespace)
    new = {"name": "c", "image": "busybox"}
    assert [c["name"] for c in containers(patched(http, url, STRATEGIC, of_pod({"containers": [new]})))] == [
        "c",
        "a",
        "b",
    ]


def test_an_added_item_follows_the_patchs_item_before_it(http: httpx.Client, namespace: str) -> None:
    url = make(http, namespace)
    change = of_pod({"containers": [{"name": "a"}, {"name": "c", "image": "busybox"}]})
    assert [c["name"] for c in containers(patched(http, url, STRATEGIC, change))] == ["a", "c", "b"]


def test_directives_delete_replace_and_order(http: httpx.Client, namespace: str) -> None:
    url = make(http, namespace)
    order = of_pod({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]})
    assert [c["name"] for c in containers(patched(http, url, STRATEGIC, order))] == ["b", "a"]
    gone = of_pod({"containers": [{"$patch": "delete", "name": "b"}]})
    assert [c["name"] for c in containers(patched(http, url, STRATEGIC, gone))] == ["a"]
    only = of_pod({"containers": [{"$patch": "replace"}, {"name": "z", "image": "busybox"}]})
    assert [c["name"] for c in containers(patched(http, url, STRATEGIC, only))] == ["z"]
    kept = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert patched(http, url, STRATEGIC, kept)["spec"]["strategy"] == {"type": "Recreate"}
    replaced = {"metadata": {"labels": {"$patch": "replace", "only": "this"}}}
    assert patched(http, url, STRATEGIC, replaced)["metadata"]["labels"] == {"only": "this"}


def test_items_of_a_primitive_list_are_deleted_by_directive(http: httpx.Client, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/configmaps"
    meta = {"name": "m", "finalizers": ["a.io/x", "a.io/y", "a.io/z"]}
    http.post(url, json={"metadata": meta})
    change = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a.io/y"], "finalizers": ["a.io/w"]}}
    made = patched(http, f"{url}/m", STRATEGIC, change)
    assert sorted(made["metadata"]["finalizers"]) == ["a.io/w", "a.io/x", "a.io/z"]
    patched(http, f"{url}/m", MERGE, {"metadata": {"finalizers": None}})


def test_a_strategic_merge_without_its_key_is_500(http: httpx.Client, namespace: str) -> None:
    url = make(http, namespace)
    refused = patch(http, url, STRATEGIC, of_pod({"containers": [{"image": "x"}]}))
    assert refused.status_code == 500
    assert "does not contain declared merge key: name" in refused.json()["message"]


def test_a_custom_resource_has_no_strategic_merge(http: httpx.Client, namespace: str) -> None:
    url = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflowtemplates/t"
    assert patch(http, url, STRATEGIC, {}).status_code == 415
    assert patch(http, url, "text/plain", {}).status_code == 415


def test_a_patch_with_a_stale_version_is_a_conflict(http: httpx.Client, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/configmaps"
    version = http.post(url, json={"metadata": {"name": "m"}}).json()["metadata"]["resourceVersion"]
    change = {"metadata": {"resourceVersion": version, "labels": {"n": "1"}}}
    assert patch(http, f"{url}/m", MERGE, change).status_code == 200
    assert patch(http, f"{url}/m", MERGE, change | {"data": {"a": "b"}}).status_code == 409


def test_a_patch_may_not_rename(http: httpx.Client, namespace: str) -> None:
    url = make(http, namespace)
    refused = patch(http, url, MERGE, {"metadata": {"name": "other"}})
    assert refused.status_code == 400
    assert "the name of the object (other) does not match the name on the URL" in refused.json()["message"]


def test_unknown_fields_of_a_patch_warn_or_refuse(http: httpx.Client, namespace: str) -> None:
    url = make(http, namespace)
    warned = patch(http, url, MERGE, {"spec": {"foo": 1}})
    assert (warned.status_code, warned.headers["warning"]) == (200, '299 - "unknown field \\"spec.foo\\""')
    refused = patch(http, url, MERGE, {"spec": {"foo": 1}}, fieldValidation="Strict")
    assert refused.status_code == 422
    assert 'strict decoding error: unknown field "spec.foo"' in refused.json()["message"]


def test_patching_what_is_not_there_is_404(http: httpx.Client, namespace: str) -> None:
    assert patch(http, f"/api/v1/namespaces/{namespace}/pods/none", MERGE, {}).status_code == 404


def test_a_no_op_patch_makes_no_new_version(http: httpx.Client, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/configmaps"
    before = http.post(url, json={"metadata": {"name": "m", "labels": {"a": "b"}}}).json()
    assert patched(http, f"{url}/m", STRATEGIC, {"metadata": {"labels": {"a": "b"}}}) == before


@pytest.mark.parametrize(
    ("media", "data", "words"),
    [
        ("application/merge-patch+json", '{"data":', "error decoding patch: unexpected end of JSON input"),
        ("application/strategic-merge-patch+json", '{"data":', "unexpected end of JSON input"),
        ("application/merge-patch+json", "[1]", "cannot unmarshal array into Go value of type map[string]interface {}"),
        ("application/json-patch+json", '{"a" 1}', "error decoding patch: invalid character '1' after object key"),
        ("application/json-patch+json", "{}", "cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
    ],
)
def test_a_patch_that_cannot_be_read_is_refused_in_the_words_of_a_real_server(
    http: httpx.Client, namespace: str, media: str, data: str, words: str
) -> None:
    url = f"/api/v1/namespaces/{namespace}/configmaps"
    http.post(url, json={"metadata": {"name": "c"}})
    refused = http.patch(f"{url}/c", content=data, headers={"Content-Type": media})
    assert refused.status_code == 400
    assert words in refused.json()["message"]


def test_replacing_a_key_that_is_not_there_adds_it(http: httpx.Client, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/configmaps"
    http.post(url, json={"metadata": {"name": "c"}, "data": {"a": "1"}})
    change = [{"op": "replace", "path": "/data/b", "value": "2"}]
    headers = {"Content-Type": "application/json-patch+json"}
    assert http.patch(f"{url}/c", json=change, headers=headers).json()["data"] == {"a": "1", "b": "2"}
