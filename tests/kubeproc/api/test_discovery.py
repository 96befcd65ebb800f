"""Discovery: both forms say the same, and what the table of resources says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from kubeproc.api.schema import discovery
from kubeproc.api_errors import ApiError
from kubeproc.resources import RESOURCES

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(Starlette(routes=discovery.routes), raise_server_exceptions=True) as made:
        yield made


def test_plain_discovery_leads_to_every_kind(client: TestClient) -> None:
    found = set()
    groups = [v["groupVersion"] for g in client.get("/apis/").json()["groups"] for v in g["versions"]]
    for path in ["/api/v1", *(f"/apis/{g}" for g in groups)]:
        listed = client.get(path).json()
        assert listed["kind"] == "APIResourceList"
        found |= {(listed["groupVersion"], r["name"], r["kind"]) for r in listed["resources"]}
    assert found >= {(r.api_version, r.plural, r.kind) for r in RESOURCES.values()}
    assert ("v1", "pods/eviction", "Eviction") in found
    assert ("apps/v1", "deployments/scale", "Scale") in found


def test_the_aggregated_form_says_the_same(client: TestClient) -> None:
    accept = {
        "accept": f"{V2},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
    }
    for path in ("/api", "/apis"):
        answer = client.get(path, headers=accept)
        assert answer.headers["content-type"] == V2
        for group in answer.json()["items"]:
            for version in group["versions"]:
                name = group["metadata"].get("name")
                plain = client.get(f"/apis/{name}/{version['version']}" if name else "/api/v1").json()
                kinds = {r["name"]: set(r["verbs"]) for r in plain["resources"]}
                told = {r["resource"]: set(r["verbs"]) for r in version["resources"]}
                for resource in version["resources"]:
                    for inner in resource.get("subresources", []):
                        told[f"{resource['resource']}/{inner['subresource']}"] = set(inner["verbs"])
                assert told == kinds


def test_plain_json_stays_plain(client: TestClient) -> None:
    assert client.get("/apis").json()["kind"] == "APIGroupList"
    assert client.get("/api").json()["versions"] == ["v1"]
    assert client.get("/apis/apps").json()["preferredVersion"]["version"] == "v1"


def test_what_is_known_already_is_not_sent_again(client: TestClient) -> None:
    first = client.get("/apis", headers={"accept": V2})
    again = client.get("/apis", headers={"accept": V2, "if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    assert client.get("/apis", headers={"if-none-match": first.headers["etag"]}).status_code == 200


@pytest.mark.parametrize("path", ["/apis/nothing.example", "/apis/apps/v2"])
def test_an_unknown_group_is_not_found(client: TestClient, path: str) -> None:
    with pytest.raises(ApiError) as refused:
        client.get(path)
    assert refused.value.code == 404
