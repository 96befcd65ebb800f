"""Whatever is sent, the server answers in time, in Kubernetes' form, and never with a 500 of its own making."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeproc.api.wire.body import ACCEPTED
from kubeproc.resources import CONFIGMAPS, DEPLOYMENTS, JOBS, PODS, RESOURCES, SERVICES, TFJOBS, WORKFLOWS

FUZZ = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
UPSTREAM_500 = (
    "resourceVersion should not be set",
    "failed to create typed patch object",
    "declared merge key",
    "unknown patch type",
    "merge lists without merge key",
    "element types are not identical",
    "cannot yet be specified",
    "doesn't match $setElementOrder",
    "does not exist, can't scale it",
)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
names = st.sampled_from(
    ["metadata", "spec", "status", "name", "labels", "containers", "template", "replicas", "data", "kind", "selector",
     "matchLabels", "ports", "$patch", "$retainKeys", "$setElementOrder/containers", "finalizers", "ownerReferences",
     "$deleteFromPrimitiveList/finalizers", "tfReplicaSpecs", "Worker", "image", "env", "annotations", "apiVersion",
     "resourceVersion", "managedFields", "fieldsV1", "generateName", "resources", "limits", "cpu"]
) | st.text(max_size=6)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)
objects = st.fixed_dictionaries({}, optional={"metadata": values, "spec": values, "status": values, "data": values})
KINDS = st.sampled_from([CONFIGMAPS, DEPLOYMENTS, JOBS, PODS, SERVICES, TFJOBS, WORKFLOWS])
QUERY = st.dictionaries(
    st.sampled_from(
        ["labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch", "dryRun",
         "fieldManager", "fieldValidation", "force", "propagationPolicy", "gracePeriodSeconds", "sendInitialEvents",
         "orphanDependents", "includeObject", "pretty"]
    ),
    st.sampled_from(["", "0", "1", "-1", "true", "All", "a=b", "a in (b", "!x", "x" * 300, "999999999999999999999", "é"]),
    max_size=3,
)  # fmt: skip
MEDIA = st.sampled_from(
    ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
     "application/apply-patch+yaml", "application/json", "application/yaml", ""]
)  # fmt: skip


def check(answer: httpx.Response) -> None:
    if answer.status_code == 500 and any(words in answer.text for words in UPSTREAM_500):
        return
    assert answer.status_code < 500 or answer.status_code == 504, answer.text
    if answer.request.method == "HEAD":
        return  # headers only
    if answer.status_code >= 400 and answer.headers["content-type"].startswith("application/json"):
        assert answer.json()["kind"] == "Status"
        assert answer.json()["code"] == answer.status_code


@FUZZ
@given(resource=KINDS, body=objects | values, query=QUERY)
def test_any_body_can_be_posted(http: httpx.Client, namespace: str, resource: Any, body: Any, query: dict) -> None:
    check(http.post(resource.path(namespace), content=json.dumps(body), params=query | {"dryRun": "All"}))


@pytest.fixture
def victims(http: httpx.Client, namespace: str) -> dict[str, str]:
    """One object of each kind that the patches are tried on, always with dryRun."""
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "tensorflow", "image": "busybox"}]},
    }
    never = template | {"spec": template["spec"] | {"restartPolicy": "Never"}}  # type: ignore[operator]
    specs: dict[Any, Any] = {
        CONFIGMAPS: {"data": {"a": "b"}},
        DEPLOYMENTS: {
            "spec": {"paused": True, "replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
        },
        JOBS: {"spec": {"suspend": True, "template": never}},
        PODS: {"spec": template["spec"] | {"schedulerName": "nobody"}},  # type: ignore[operator]
        SERVICES: {"spec": {"ports": [{"port": 80}]}},
        TFJOBS: {"spec": {"runPolicy": {"suspend": True}, "tfReplicaSpecs": {"Worker": {"template": template}}}},
        WORKFLOWS: {
            "spec": {
                "suspend": True,
                "entrypoint": "a",
                "templates": [{"name": "a", "container": {"image": "busybox"}}],
            }
        },
    }
    for resource, body in specs.items():
        made = http.post(resource.path(namespace), json={"metadata": {"name": "v"}} | body)
        assert made.status_code == 201, made.text
    return {r.qualified: r.path(namespace, "v") for r in specs}


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The paths of all values in an object."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


@settings(FUZZ, max_examples=300)
@given(resource=KINDS, value=values, data=st.data())
def test_any_value_of_an_object_may_be_another(
    http: httpx.Client, victims: dict, resource: Any, value: Any, data: Any
) -> None:
    url = victims[resource.qualified]
    obj = http.get(url).json()
    for field in ("resourceVersion", "uid", "managedFields"):
        obj["metadata"].pop(field, None)
    paths = places(obj)
    *way, last = data.draw(st.sampled_from(paths))
    here = obj
    for step in way:
        here = here[step]
    here[last] = value
    check(http.put(url, content=json.dumps(obj), params={"dryRun": "All"}))
    obj["metadata"] = {"name": "another"} if way[:1] != ["metadata"] else obj["metadata"]
    check(http.post(url.rpartition("/")[0], content=json.dumps(obj), params={"dryRun": "All"}))


@settings(FUZZ, max_examples=250)
@given(
    resource=KINDS, change=objects | values, media=MEDIA, query=QUERY, sub=st.sampled_from(["", "/status", "/scale"])
)
def test_any_patch_can_be_sent(
    http: httpx.Client, victims: dict, resource: Any, change: Any, media: str, query: dict, sub: str
) -> None:
    url = victims[resource.qualified] + sub
    params = query | {"dryRun": "All", "fieldManager": query.get("fieldManager", "me")}
    check(http.patch(url, content=json.dumps(change), params=params, headers={"Content-Type": media}))


operation = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]) | values,
        "path": st.sampled_from(["", "/", "/metadata", "/metadata/name", "/spec/0", "/spec/-", "/a~2", "x"]) | values,
        "from": st.sampled_from(["", "/metadata", "/spec", "/nothing"]) | values,
        "value": values,
    },
)


@FUZZ
@given(resource=KINDS, change=st.lists(operation, max_size=3))
def test_any_json_patch_can_be_sent(http: httpx.Client, victims: dict, resource: Any, change: Any) -> None:
    headers = {"Content-Type": "application/json-patch+json"}
    check(
        http.patch(victims[resource.qualified], content=json.dumps(change), headers=headers, params={"dryRun": "All"})
    )


@FUZZ
@given(
    parts=st.lists(
        st.sampled_from([*(r.plural for r in RESOURCES.values()), "api", "apis", "v1", "apps", "namespaces", "default",
                         "kube-root-ca.crt", "status", "scale", "log", "watch", "", "..", "%2e", "openapi", "v3"])
        | st.text(min_size=1, max_size=5).map(lambda t: quote(t, safe="")),
        max_size=8,
    ),
    query=QUERY,
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
)  # fmt: skip
def test_any_path_can_be_asked_for(api_server: Any, http: httpx.Client, parts: list, query: dict, method: str) -> None:
    url = httpx.URL(api_server.url).copy_with(raw_path=("/" + "/".join(parts)).encode())
    check(http.request(method, url, params=query | {"dryRun": "All"}))


@FUZZ
@given(data=st.binary(max_size=200), media=st.sampled_from(ACCEPTED))
def test_any_bytes_can_be_posted(http: httpx.Client, namespace: str, data: bytes, media: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/configmaps"
    check(http.post(url, content=data, headers={"Content-Type": media}, params={"dryRun": "All"}))
    protobuf = b"k8s\0" + data
    check(http.post(url, content=protobuf, headers={"Content-Type": "application/vnd.kubernetes.protobuf"}))


SUBRESOURCES: dict[str, tuple[str, dict[str, Any]]] = {  # address below the namespace: method, a good body
    "pods/v/eviction": ("POST", {"metadata": {"name": "v"}, "deleteOptions": {"gracePeriodSeconds": 1, "preconditions": {}}}),
    "pods/v/binding": ("POST", {"metadata": {"name": "v"}, "target": {"kind": "Node", "name": "labkit"}}),
    "pods/v/status": ("PUT", {"metadata": {"name": "v"}, "status": {"phase": "Pending", "conditions": []}}),
    "pods/v/ephemeralcontainers": ("PUT", {"spec": {"ephemeralContainers": [{"name": "e", "image": "busybox"}]}}),
    "serviceaccounts/default/token": ("POST", {"spec": {"audiences": ["a"], "expirationSeconds": 600, "boundObjectRef": {
        "kind": "Pod", "apiVersion": "v1", "name": "v", "uid": ""}}}),
    "deployments/v/scale": ("PUT", {"metadata": {"name": "v"}, "spec": {"replicas": 0}}),
    "deployments/v/status": ("PUT", {"metadata": {"name": "v"}, "status": {"replicas": 0, "conditions": []}}),
    "tfjobs/v/scale": ("PUT", {"metadata": {"name": "v"}, "spec": {"replicas": 1}}),
    "tfjobs/v/status": ("PUT", {"metadata": {"name": "v"}, "status": {"conditions": [], "replicaStatuses": {"Worker": {}}}}),
    "jobs/v/status": ("PUT", {"metadata": {"name": "v"}, "status": {"active": 0, "conditions": []}}),
    "finalize": ("PUT", {"spec": {"finalizers": ["kubernetes"]}}),
    "pods/v": ("DELETE", {"gracePeriodSeconds": 1, "propagationPolicy": "Orphan", "preconditions": {"uid": "u"}}),
    "configmaps": ("DELETE", {"orphanDependents": True, "dryRun": ["All"]}),
}  # fmt: skip


@settings(FUZZ, max_examples=300)
@given(path=st.sampled_from(list(SUBRESOURCES)), odd=values, query=QUERY, data=st.data())
def test_any_body_can_be_sent_to_a_subresource(
    http: httpx.Client, victims: dict, namespace: str, path: str, odd: Any, query: dict, data: Any
) -> None:
    method, good = SUBRESOURCES[path]
    body = json.loads(json.dumps(good))
    *way, last = data.draw(st.sampled_from([("",), *places(body)]))
    if last == "" and not way:
        body = odd
    else:
        here = body
        for step in way:
            here = here[step]
        here[last] = odd
    plural, _, rest = path.partition("/")
    resource = next((r for r in RESOURCES.values() if r.plural == plural), None)
    url = f"{resource.path(namespace)}/{rest}".rstrip("/") if resource else f"/api/v1/namespaces/{namespace}/{path}"
    check(http.request(method, url, content=json.dumps(body), params=query | {"dryRun": "All"}))
