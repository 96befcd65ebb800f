"""Writes `kubeproc/upstream/custom_resources.json` and `argo.json`: the schemas of TFJob and of Argo's kinds.

    python cluster/kubeproc/tools/custom_resources.py

The first has the CustomResourceDefinitions that a real cluster gets: the server checks objects by them. Argo's are the
minimal ones, as of its release manifests, in which a workflow's spec is an open object; its full ones have no
descriptions. So what `kubectl explain` says of a workflow comes from the second file, the definitions in Argo's own
OpenAPI document. Types of Kubernetes become references to Kubernetes' own definitions in both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from modules import folder, write

Schema = dict[str, Any]

ARGO, OPERATOR = "github.com/argoproj/argo-workflows/v3", "github.com/kubeflow/training-operator"
ARGO_CRDS = ("workflows", "workflowtemplates", "clusterworkflowtemplates", "workflowtaskresults")
EXPLAINED = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate")
UPSTREAMS, OURS = "io.argoproj.workflow.v1alpha1.", "io.argoproj.v1alpha1."  # the latter is the CRDs' group, reversed
REF = "#/$defs/"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
POD_TEMPLATE = {"metadata", "spec"}


def kubernetes_type(field: str, schema: Schema) -> str:
    """The type of Kubernetes that a CustomResourceDefinition spells out here, or ""."""
    properties = schema.get("properties") or {}
    if schema.get("x-kubernetes-int-or-string"):
        return "io.k8s.apimachinery.pkg.api.resource.Quantity" if "pattern" in schema else ""
    if schema.get("format") == "date-time":
        return META + "Time"
    if set(properties) == {"matchExpressions", "matchLabels"}:
        return META + "LabelSelector"
    if field == "template" and set(properties) == POD_TEMPLATE:
        return "io.k8s.api.core.v1.PodTemplateSpec"
    return META + "ObjectMeta" if field == "metadata" and not properties else ""


def referring(field: str, schema: Schema) -> Schema:
    """The schema with references for what is Kubernetes' own."""
    if name := kubernetes_type(field, schema):
        about = {"description": schema["description"]} if "description" in schema else {}
        return {"$ref": REF + name} | about
    made = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            made[key] = referring("", schema[key])
    if "properties" in schema:
        made["properties"] = {name: referring(name, value) for name, value in schema["properties"].items()}
    return made


def definition(path: Path) -> tuple[str, Schema]:
    """A CustomResourceDefinition's kind and the schema of its version."""
    spec = yaml.safe_load(path.read_text())["spec"]
    (version,) = spec["versions"]
    return spec["names"]["kind"], referring("", version["schema"]["openAPIV3Schema"])


def definitions() -> dict[str, Schema]:
    crds = folder(ARGO) / "manifests" / "base" / "crds" / "minimal"
    paths = [folder(OPERATOR) / "manifests" / "base" / "crds" / "kubeflow.org_tfjobs.yaml"]
    return dict(definition(path) for path in paths + [crds / f"argoproj.io_{name}.yaml" for name in ARGO_CRDS])


def renamed(node: Any) -> Any:
    """The schema with references to our names."""
    if isinstance(node, list):
        return [renamed(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: renamed(value) for key, value in node.items()}
    if isinstance(node.get("$ref"), str):
        made["$ref"] = REF + node["$ref"].rpartition("/")[2].replace(UPSTREAMS, OURS)
    return made


def references(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for item in node for name in references(item)}
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"].removeprefix(REF)} if isinstance(node.get("$ref"), str) else set()
    return own | {name for value in node.values() for name in references(value)}


def explained() -> dict[str, Schema]:
    """Argo's definitions that the kinds reach."""
    swagger = json.loads((folder(ARGO) / "api" / "openapi-spec" / "swagger.json").read_text())["definitions"]
    found: dict[str, Schema] = {}
    wanted = {OURS + kind for kind in EXPLAINED}
    while wanted:
        name = wanted.pop()
        found[name] = renamed(swagger[name.replace(OURS, UPSTREAMS)])
        wanted |= {other for other in references(found[name]) if other.startswith(OURS)} - set(found)
    return found


def main() -> None:
    write("custom_resources.json", [ARGO, OPERATOR], "definitions", definitions())
    write("argo.json", [ARGO], "definitions", explained())


if __name__ == "__main__":
    main()
