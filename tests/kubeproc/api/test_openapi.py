"""OpenAPI: every kind has a document whose references hold, and custom resources have descriptions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from kubeproc.api.schema import openapi, openapi_build
from kubeproc.resources import RESOURCES, TFJOBS

REF = "#/components/schemas/"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("openapi")
    openapi_build.build(folder)
    return {path.stem: json.loads(path.read_bytes()) for path in folder.glob("ap*.json")}


def document(built: dict[str, Any], group: str, version: str) -> Any:
    return built[f"apis_{group}_{version}" if group else f"api_{version}"]


def references(node: Any) -> set[str]:
    if isinstance(node, list):
        return {r for item in node for r in references(item)}
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
    return own | {r for value in node.values() for r in references(value)}


def test_every_reference_leads_to_a_schema(built: dict[str, Any]) -> None:
    for doc in built.values():
        assert {r.removeprefix(REF) for r in references(doc)} <= set(doc["components"]["schemas"])


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda r: r.plural)
def test_a_kind_has_paths_and_a_described_schema(built: dict[str, Any], resource: Any) -> None:
    doc = document(built, resource.group, resource.version)
    of = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    patch = doc["paths"][resource.path("{namespace}", "{name}")]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == of
    assert "fieldValidation" in {p["name"] for p in patch["parameters"]}
    assert "get" in doc["paths"][resource.path("{namespace}")]
    schemas = [s for s in doc["components"]["schemas"].values() if of in s.get("x-kubernetes-group-version-kind", [])]
    assert len(schemas) == 1
    assert schemas[0]["description"]


def test_merge_keys_and_single_types_are_kept(built: dict[str, Any]) -> None:
    schemas = document(built, "", "v1")["components"]["schemas"]
    spec = schemas["io.k8s.api.core.v1.PodSpec"]
    assert spec["properties"]["containers"]["x-kubernetes-patch-merge-key"] == "name"
    assert spec["properties"]["nodeName"]["type"] == "string"
    assert spec["required"] == ["containers"]


def test_the_fields_of_a_tfjob_are_described(built: dict[str, Any]) -> None:
    schemas = document(built, TFJOBS.group, TFJOBS.version)["components"]["schemas"]
    spec = schemas["org.kubeflow.v1.TFJob"]["properties"]["spec"]
    assert set(spec["properties"]) == {"enableDynamicWorker", "runPolicy", "successPolicy", "tfReplicaSpecs"}
    assert spec["required"] == ["tfReplicaSpecs"]
    policy = spec["properties"]["runPolicy"]["properties"]["cleanPodPolicy"]
    assert policy["description"].startswith("CleanPodPolicy defines the policy to kill pods")
    replica = spec["properties"]["tfReplicaSpecs"]["additionalProperties"]["properties"]
    assert REF + "io.k8s.api.core.v1.PodTemplateSpec" in references(replica["template"])


def test_the_fields_of_a_workflow_are_described(built: dict[str, Any]) -> None:
    schemas = document(built, "argoproj.io", "v1alpha1")["components"]["schemas"]
    template = schemas["io.argoproj.v1alpha1.Template"]["properties"]
    assert {"container", "script", "steps", "dag", "resource", "suspend", "inputs", "outputs"} <= set(template)
    assert REF + "io.k8s.api.core.v1.Container" in references(template["container"])
    assert all(field.get("description") for field in template.values())


def test_a_field_of_a_workflow_has_the_type_that_argo_gives_it(built: dict[str, Any]) -> None:
    schemas = document(built, "argoproj.io", "v1alpha1")["components"]["schemas"]
    deadline = schemas["io.argoproj.v1alpha1.Template"]["properties"]["activeDeadlineSeconds"]
    assert references(deadline) == {REF + "io.k8s.apimachinery.pkg.util.intstr.IntOrString"}
    steps = schemas["io.argoproj.v1alpha1.Template"]["properties"]["steps"]
    assert references(steps) == {REF + "io.argoproj.v1alpha1.ParallelSteps"}
    limit = schemas["io.argoproj.v1alpha1.WorkflowSpec"]["properties"]["parallelism"]
    assert limit["type"] == "integer"
    assert schemas["io.argoproj.v1alpha1.WorkflowTaskResult"]["properties"]["outputs"]["properties"]["exitCode"]


def test_documents_are_made_once_and_kept_by_their_hash(tmp_path: Path) -> None:
    app = Starlette(routes=openapi.routes)
    app.state.home = tmp_path
    with TestClient(app) as client:
        paths = client.get("/openapi/v3").json()["paths"]
        made = openapi.folder(tmp_path) / "index.json"
        changed = made.stat().st_mtime_ns
        answer = client.get(paths["apis/apps/v1"]["serverRelativeURL"])
        assert "immutable" in answer.headers["cache-control"]
        assert answer.json()["openapi"] == "3.0.0"
        stale = client.get("/openapi/v3/apis/apps/v1?hash=OLD", follow_redirects=False)
        assert stale.headers["location"] == paths["apis/apps/v1"]["serverRelativeURL"]
        again = client.get("/openapi/v3/apis/apps/v1", headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code == 304
    del app.state.openapi
    with TestClient(app) as client:
        client.get("/openapi/v3")
    assert made.stat().st_mtime_ns == changed
