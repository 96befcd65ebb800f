"""Upstream's data: each file names its source, of the versions that the real cluster runs, and its references hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kubeproc import upstream
from kubeproc.api.schema import openapi_build
from kubeproc.resources import RESOURCES

VERSIONS = yaml.safe_load((Path(__file__).parents[2] / "cluster" / "versions.yaml").read_text())["operators"]
MODULES = {
    "argo-workflows": "github.com/argoproj/argo-workflows/v3",
    "training-operator": "github.com/kubeflow/training-operator",
}


@pytest.mark.parametrize("name", [path.name for path in upstream.files()])
def test_a_file_names_its_source_and_licence(name: str) -> None:
    found = upstream.read(name)
    assert found["licence"] == "Apache-2.0"
    assert all("@v" in source for source in found["source"])


def test_custom_resources_are_those_of_the_operators_that_a_real_cluster_runs() -> None:
    pinned = {f"{module}@{VERSIONS[operator]['version']}" for operator, module in MODULES.items()}
    assert set(upstream.read("custom_resources.json")["source"]) == pinned
    assert set(upstream.read("argo.json")["source"]) < pinned


def test_every_custom_resource_has_a_definition() -> None:
    kinds = {resource.kind for resource in RESOURCES.values() if resource.custom}
    assert set(upstream.read("custom_resources.json")["definitions"]) == kinds


def test_every_definition_of_argo_is_reached() -> None:
    """What no kind refers to is not kept."""
    found = upstream.read("argo.json")["definitions"]
    text = str(found)
    roots = {openapi_build.kind_schema(resource, {}) for resource in RESOURCES.values() if resource.custom}
    assert {name for name in found if f"'#/$defs/{name}'" not in text} <= roots
