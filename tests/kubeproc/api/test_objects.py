from __future__ import annotations

import httpx
import pytest


def pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def pod(name: str, **meta: object) -> dict:
    spec = {"containers": [{"name": "main", "image": "labkit/lab:1", "command": ["true"]}]}
    return {"metadata": {"name": name, **meta}, "spec": spec}


def make_map(http: httpx.Client, namespace: str, name: str = "settings", **fields: object) -> dict:
    made = http.post(maps(namespace), json={"metadata": {"name": name}, "data": {"a": "1"}} | fields)
    assert made.status_code == 201, made.text
    return made.json()


def test_an_object_goes_through_its_life(http: httpx.Client, namespace: str) -> None:
    made = make_map(http, namespace)
    assert (made["kind"], made["apiVersion"]) == ("ConfigMap", "v1")
    url = f"{maps(namespace)}/settings"
    assert http.get(url).json() == made
    changed = http.put(url, json=made | {"data": {"a": "2"}})
    assert changed.status_code == 200
    assert int(changed.json()["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    assert http.get(url).json()["data"] == {"a": "2"}
    deleted = http.delete(url).json()
    assert deleted["status"] == "Success"
    assert deleted["details"] == {"name": "settings", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    gone = http.get(url)
    assert gone.status_code == 404
    assert gone.json()["message"] == 'configmaps "settings" not found'


def test_a_deleted_pod_is_the_answer_to_its_deletion(http: httpx.Client, namespace: str) -> None:
    assert http.post(pods(namespace), json=pod("p")).status_code == 201
    assert http.delete(f"{pods(namespace)}/p", params={"gracePeriodSeconds": 0}).json()["kind"] == "Pod"


def test_a_trailing_slash_makes_no_difference(http: httpx.Client, namespace: str) -> None:
    assert http.get(maps(namespace) + "/").status_code == 200


def test_a_stale_resource_version_is_refused(http: httpx.Client, namespace: str) -> None:
    made = make_map(http, namespace)
    url = f"{maps(namespace)}/settings"
    assert http.put(url, json=made | {"data": {"a": "2"}}).status_code == 200
    stale = http.put(url, json=made | {"data": {"a": "3"}})
    assert (stale.status_code, stale.json()["reason"]) == (409, "Conflict")
    assert "please apply your changes to the latest version" in stale.json()["message"]


def test_a_name_that_is_taken_is_refused(http: httpx.Client, namespace: str) -> None:
    make_map(http, namespace)
    again = http.post(maps(namespace), json={"metadata": {"name": "settings"}})
    assert (again.status_code, again.json()["reason"]) == (409, "AlreadyExists")


def test_a_resource_version_on_creation_is_an_error(http: httpx.Client, namespace: str) -> None:
    sent = http.post(maps(namespace), json={"metadata": {"name": "x", "resourceVersion": "5"}})
    assert sent.status_code == 500
    assert sent.json()["message"] == "resourceVersion should not be set on objects to be created"


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"metadata": {}}, 422, "name or generateName is required"),
        ({"metadata": {"name": "No_Name"}}, 422, "a lowercase RFC 1123 subdomain must consist of"),
        ({"metadata": {"name": "x", "namespace": "other"}}, 400, "the namespace of the provided object does not match"),
        ({"metadata": {"name": "x", "labels": {"a": "b c"}}}, 422, "a valid label must be an empty string or consist"),
        ({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x"}}, 400, "cannot be handled as a ConfigMap"),
        ({"kind": "ConfigMap", "apiVersion": "v2", "metadata": {"name": "x"}}, 400, "no kind"),
        ({"metadata": {"name": "x"}, "data": {"a": 1}}, 400, "json: cannot unmarshal number into Go struct field"),
        ([], 400, "the object provided is unrecognized"),
        ("x", 400, "the object provided is unrecognized"),
    ],
)
def test_a_wrong_object_is_refused_in_upstreams_words(
    http: httpx.Client, namespace: str, body: object, code: int, words: str
) -> None:
    refused = http.post(maps(namespace), json=body)
    assert refused.status_code == code, refused.text
    assert words in refused.json()["message"]
    assert refused.json()["kind"] == "Status"


@pytest.mark.parametrize(
    "data", [b"{", b"", b"[1,", b'{"metadata":{"name":"x"},"data":{"a":NaN}}', b"\xff\xfe", b"[" * 90_000]
)
def test_malformed_json_is_a_bad_request(http: httpx.Client, namespace: str, data: bytes) -> None:
    sent = http.post(maps(namespace), content=data, headers={"Content-Type": "application/json"})
    assert (sent.status_code, sent.json()["reason"]) == (400, "BadRequest")


def test_yaml_is_read_and_written(http: httpx.Client, namespace: str) -> None:
    text = "metadata: {name: y}\ndata:\n  day: '2020-01-01'\n"
    headers = {"Content-Type": "application/yaml", "Accept": "application/yaml"}
    made = http.post(maps(namespace), content=text, headers=headers)
    assert made.status_code == 201
    assert "day: '2020-01-01'" in made.text


def test_yaml_that_unfolds_without_end_is_refused(http: httpx.Client, namespace: str) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    sent = http.post(maps(namespace), content="\n".join(lines), headers={"Content-Type": "application/yaml"})
    assert sent.status_code == 400
    assert "excessive aliasing" in sent.json()["message"]


def test_a_body_that_is_too_large_is_refused(http: httpx.Client, namespace: str) -> None:
    sent = http.post(maps(namespace), json={"metadata": {"name": "x"}, "data": {"a": "x" * (3 << 20)}})
    assert (sent.status_code, sent.json()["reason"]) == (413, "RequestEntityTooLarge")


def test_an_unknown_media_type_is_refused(http: httpx.Client, namespace: str) -> None:
    assert http.post(maps(namespace), content=b"x", headers={"Content-Type": "text/csv"}).status_code == 415
    assert http.get(maps(namespace), headers={"Accept": "image/png"}).status_code == 406


def test_an_unknown_path_has_the_two_forms_of_upstream(http: httpx.Client) -> None:
    group = http.get("/apis/nobody.example.com/v1/things")
    assert (group.status_code, group.text) == (404, "404 page not found\n")
    resource = http.get("/apis/apps/v1/things")
    assert resource.status_code == 404
    assert resource.json()["message"] == "the server could not find the requested resource"


def test_a_method_that_makes_no_sense_is_refused(http: httpx.Client, namespace: str) -> None:
    assert http.put(maps(namespace), json={}).status_code == 405
    assert http.post(f"{maps(namespace)}/x", json={}).status_code == 405
    everywhere = http.post("/api/v1/pods", json=pod("p"))
    assert (everywhere.status_code, everywhere.json()["reason"]) == (405, "MethodNotAllowed")


def test_a_dry_run_changes_nothing(http: httpx.Client, namespace: str) -> None:
    dry = {"dryRun": "All"}
    made = http.post(maps(namespace), params=dry, json={"metadata": {"name": "x"}})
    assert made.status_code == 201
    assert made.json()["metadata"]["uid"]
    assert http.get(f"{maps(namespace)}/x").status_code == 404
    make_map(http, namespace)
    url = f"{maps(namespace)}/settings"
    assert http.patch(url, params=dry, json={"data": {"a": "9"}}, headers=MERGE).json()["data"] == {"a": "9"}
    assert http.delete(url, params=dry).status_code == 200
    assert http.get(url).json()["data"] == {"a": "1"}


MERGE = {"Content-Type": "application/merge-patch+json"}


def test_an_unknown_dry_run_is_refused(http: httpx.Client, namespace: str) -> None:
    refused = http.post(maps(namespace), params={"dryRun": "Some"}, json={"metadata": {"name": "x"}})
    assert refused.status_code == 422
    assert 'dryRun: Unsupported value: ["Some"]: supported values: "All"' in refused.json()["message"]


def test_a_status_is_written_by_itself(http: httpx.Client, namespace: str) -> None:
    body = pod("p")
    body["spec"]["schedulerName"] = "nobody"  # so that nobody else writes
    made = http.post(pods(namespace), json=body).json()
    url = f"{pods(namespace)}/p"
    made["status"] = {"phase": "Running"}
    made["metadata"]["labels"] = {"a": "b"}
    assert http.put(url + "/status", json=made).status_code == 200
    now = http.get(url).json()
    assert now["status"]["phase"] == "Running"
    assert "labels" not in now["metadata"]
    now["status"] = {"phase": "Failed"}
    assert http.put(url, json=now).status_code == 200
    assert http.get(url + "/status").json()["status"]["phase"] == "Running"


def test_preconditions_of_a_deletion_are_held_to(http: httpx.Client, namespace: str) -> None:
    made = make_map(http, namespace)
    url = f"{maps(namespace)}/settings"
    wrong = http.request("DELETE", url, json={"kind": "DeleteOptions", "preconditions": {"uid": "other"}})
    assert (wrong.status_code, wrong.json()["reason"]) == (409, "Conflict")
    right = http.request("DELETE", url, json={"preconditions": {"uid": made["metadata"]["uid"]}})
    assert right.status_code == 200


def test_a_wrong_propagation_policy_is_refused(http: httpx.Client, namespace: str) -> None:
    make_map(http, namespace)
    assert http.delete(f"{maps(namespace)}/settings", params={"propagationPolicy": "Never"}).status_code == 422


def test_a_job_deleted_without_a_policy_keeps_its_pods_and_warns(http: httpx.Client, namespace: str) -> None:
    template = {"spec": pod("x")["spec"] | {"restartPolicy": "Never"}}
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    made = http.post(jobs, json={"metadata": {"name": "j"}, "spec": {"template": template}})
    assert made.status_code == 201, made.text
    assert "child pods are preserved by default" in http.delete(f"{jobs}/j").headers["warning"]


def test_a_collection_is_deleted_by_selector(http: httpx.Client, namespace: str) -> None:
    for name, label in (("a", "x"), ("b", "x"), ("c", "y")):
        make_map(http, namespace, name, metadata={"name": name, "labels": {"kind": label}})
    answer = http.delete(maps(namespace), params={"labelSelector": "kind=x"})
    assert [i["metadata"]["name"] for i in answer.json()["items"]] == ["a", "b"]
    left = http.get(maps(namespace), params={"labelSelector": "kind"}).json()["items"]
    assert [i["metadata"]["name"] for i in left] == ["c"]


def test_the_name_in_the_url_counts(http: httpx.Client, namespace: str) -> None:
    made = make_map(http, namespace)
    made["metadata"]["name"] = "other"
    refused = http.put(f"{maps(namespace)}/settings", json=made)
    assert refused.status_code == 400
    assert "does not match the name on the URL" in refused.json()["message"]


def test_a_custom_object_is_replaced_only_with_its_version(http: httpx.Client, namespace: str) -> None:
    url = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflowtemplates"
    made = http.post(url, json={"metadata": {"name": "t"}, "spec": {"templates": []}}).json()
    del made["metadata"]["resourceVersion"]
    refused = http.put(f"{url}/t", json=made)
    assert refused.status_code == 422
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in refused.json()["message"]


def test_a_table_is_returned_on_request(http: httpx.Client, namespace: str) -> None:
    make_map(http, namespace)
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    table = http.get(maps(namespace), headers=accept).json()
    assert table["kind"] == "Table"
    assert table["metadata"]["resourceVersion"]
    assert any(row["cells"][0] == "settings" for row in table["rows"])
    partial = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    listed = http.get(maps(namespace), headers=partial).json()
    assert listed["kind"] == "PartialObjectMetadataList"
    assert "data" not in listed["items"][0]


def test_namespaces_are_not_deleted_all_at_once(http: httpx.Client, namespace: str) -> None:
    refused = http.delete("/api/v1/namespaces")
    assert refused.status_code == 405
    assert http.get(f"/api/v1/namespaces/{namespace}").json()["status"]["phase"] == "Active"


def test_a_patch_cannot_make_another_object_of_one(http: httpx.Client, namespace: str) -> None:
    http.post(maps(namespace), json={"metadata": {"name": "x"}})
    headers = {"Content-Type": "application/merge-patch+json"}
    for meta, words in (
        ({"name": "y"}, "the name of the object (y) does not match the name on the URL (x)"),
        ({"namespace": "other"}, "the namespace of the provided object does not match"),
        ({"uid": "other"}, "field is immutable"),
    ):
        refused = http.patch(f"{maps(namespace)}/x", json={"metadata": meta}, headers=headers)
        assert refused.status_code in (400, 422)
        assert words in refused.json()["message"]
