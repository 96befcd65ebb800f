"""Makes the OpenAPI v3 documents of this server: `python -m kubeproc.api.schema.openapi_build FOLDER`.

A program of its own, because parsing all of Kubernetes' schemas takes memory that the server shall not keep. For each
group version it writes one JSON document with the paths of its kinds and every schema they refer to, and last an index
of the documents' hashes. Schemas come from kubernetes-validate (Kubernetes 1.34, with descriptions and the
`x-kubernetes-*` hints that clients merge by) and, for custom resources, from upstream's own documents (`upstream`).
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from kubeproc import upstream
from kubeproc.api.schema.discovery import Kind, groups, subresources, verbs
from kubeproc.api.schema.schemas import META, folder
from kubeproc.resources import RESOURCES, Resource

Schema = dict[str, Any]

REF = "#/components/schemas/"
CUSTOM = {
    "TFJob": "A TFJob runs a distributed TensorFlow program: its spec says how many chiefs, workers and parameter "
    "servers there are, each replica is a pod that learns of the others from the environment variable TF_CONFIG.",
    "Workflow": "A Workflow is a run of templates: containers and scripts, put in order by steps or a DAG.",
    "WorkflowTemplate": "A WorkflowTemplate keeps templates that workflows of its namespace can refer to.",
    "ClusterWorkflowTemplate": "A ClusterWorkflowTemplate keeps templates that workflows of any namespace can refer to.",
    "WorkflowTaskResult": "A WorkflowTaskResult is what a workflow's pod reports of its outputs.",
}
QUERY = {
    "dryRun": "string",
    "fieldManager": "string",
    "fieldValidation": "string",
    "force": "boolean",
    "pretty": "string",
}
LIST = {
    "allowWatchBookmarks": "boolean",
    "continue": "string",
    "fieldSelector": "string",
    "labelSelector": "string",
    "limit": "integer",
    "resourceVersion": "string",
    "resourceVersionMatch": "string",
    "sendInitialEvents": "boolean",
    "timeoutSeconds": "integer",
    "watch": "boolean",
}
PATCHES = ("apply-patch+yaml", "json-patch+json", "merge-patch+json", "strategic-merge-patch+json")
METHODS = {"get": "get", "put": "update", "patch": "patch", "delete": "delete"}


def build(target: Path) -> None:
    """Write `GROUP_VERSION.json` for each group version and `index.json` into `target`."""
    target.mkdir(parents=True, exist_ok=True)
    schemas = definitions() | custom_definitions()
    index = {}
    for (group, version), resources in groups().items():
        if not resources:
            continue
        path = f"apis/{group}/{version}" if group else f"api/{version}"
        content = json.dumps(document(resources, schemas), separators=(",", ":")).encode()
        _write(target / f"{path.replace('/', '_')}.json", content)
        index[path] = hashlib.sha256(content).hexdigest().upper()
    _write(target / "index.json", json.dumps(index).encode())


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.replace(path)


# -- schemas ---------------------------------------------------------------------------------------------------------


def definitions() -> dict[str, Schema]:
    """Kubernetes' schemas by upstream's name, `io.k8s.api.core.v1.Pod`, as OpenAPI v3 writes them."""
    source = json.loads((folder() / "_definitions.json").read_bytes())
    return {name: _converted(schema) for name, schema in source["$defs"].items()}


def custom_definitions() -> dict[str, Schema]:
    """The schemas of custom resources, named by the group in reverse, and those that they refer to."""
    crds = upstream.read("custom_resources.json")["definitions"]
    found = {kind_schema(resource, {}): crds[resource.kind] for resource in RESOURCES.values() if resource.custom}
    found |= upstream.read("argo.json")["definitions"]  # a workflow's spec is an open object in its definition
    return _inherited({name: _converted(schema) for name, schema in found.items()})


def _inherited(found: dict[str, Schema]) -> dict[str, Schema]:
    """The schemas with a type's words at fields that have none of their own: `kubectl explain` lists those."""
    made = {}
    for name, schema in found.items():
        fields = dict(schema.get("properties") or {})
        for field, value in fields.items():
            words = found.get(str(value.get("$ref", "")).removeprefix(REF), {}).get("description")
            if words:
                fields[field] = {"allOf": [value], "description": words}
        made[name] = schema | ({"properties": fields} if fields else {})
    return made


def _converted(node: Any) -> Any:
    """JSON Schema to OpenAPI v3: no null types, references into the components, their siblings beside an allOf."""
    if isinstance(node, list):
        return [_converted(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _converted(value) for key, value in node.items() if key != "$ref"}
    if isinstance(made.get("type"), list):
        made["type"] = next(kind for kind in made["type"] if kind != "null")
    if not isinstance(node.get("$ref"), str):  # or there is a property of that name
        return made | ({"$ref": _converted(node["$ref"])} if "$ref" in node else {})
    ref = {"$ref": REF + node["$ref"].rpartition("/")[2]}
    return made | {"allOf": [ref]} if made else ref


def kind_schema(resource: Resource, schemas: dict[str, Schema]) -> str:
    """The name of the kind's schema."""
    if resource.group == "kubeflow.org":
        return f"org.kubeflow.v1.{resource.kind}"
    if resource.group == "argoproj.io":
        return f"io.argoproj.v1alpha1.{resource.kind}"
    return next(
        n for n in schemas if n.startswith("io.k8s.api.") and n.endswith(f".{resource.version}.{resource.kind}")
    )


def _root(resource: Resource, schema: Schema) -> Schema:
    """The kind's own schema with what identifies it."""
    of = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    made = schema | {"x-kubernetes-group-version-kind": [of]}
    if resource.custom:
        head = {
            "apiVersion": {"type": "string", "description": f"The version of the schema: {resource.api_version}."},
            "kind": {"type": "string", "description": f"The kind of the object: {resource.kind}."},
            "metadata": {"allOf": [{"$ref": f"{REF}{META}ObjectMeta"}], "description": "Standard object's metadata."},
        }
        made["properties"] = (schema.get("properties") or {}) | head
        made["description"] = CUSTOM[resource.kind]
    return made


def _closure(roots: dict[str, Schema], schemas: dict[str, Schema]) -> dict[str, Schema]:
    found, wanted = dict(roots), list(roots.values())
    while wanted:
        node = wanted.pop()
        if isinstance(node, list):
            wanted += node
        elif isinstance(node, dict):
            wanted += node.values()
            name = str(node.get("$ref", "")).removeprefix(REF)
            if name and name in schemas and name not in found:
                found[name] = schemas[name]
                wanted.append(schemas[name])
    return dict(sorted(found.items()))


# -- paths -----------------------------------------------------------------------------------------------------------


def document(resources: list[Resource], schemas: dict[str, Schema]) -> dict[str, Any]:
    """The OpenAPI document of one group version."""
    roots: dict[str, Schema] = {}
    paths: dict[str, Any] = {}
    for resource in resources:
        name = kind_schema(resource, schemas)
        roots[name] = _root(resource, schemas[name])
        paths |= _paths(resource, name)
    for extra in ("DeleteOptions", "Status"):
        roots[META + extra] = schemas[META + extra]
    info = {"title": "Kubernetes", "version": "v1.34.4"}
    components = {"schemas": _closure(roots, schemas)}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": components}


def _paths(resource: Resource, schema: str) -> dict[str, Any]:
    kind = Kind(resource.group, resource.version, resource.kind)
    can, collection = verbs(resource), resource.path("{namespace}")
    made = {collection: _operations(collection, kind, schema, {"get": "list", "post": "create"}, can)}
    if "get" in can:
        item = resource.path("{namespace}", "{name}")
        made[item] = _operations(item, kind, schema, METHODS, can)
        for name, of, sub_can in subresources(resource):
            path = f"{item}/{name}"
            made[path] = _operations(path, of, schema, METHODS | {"post": "create"}, sub_can)
    return made


def _operations(path: str, kind: Kind, schema: str, methods: dict[str, str], can: list[str]) -> dict[str, Any]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    made: dict[str, Any] = {method: _operation(verb, kind, schema) for method, verb in methods.items() if verb in can}
    where = [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names]
    return made | ({"parameters": where} if where else {})


def _operation(verb: str, kind: Kind, schema: str) -> dict[str, Any]:
    query = LIST if verb == "list" else {} if verb == "get" else QUERY
    answer = {"application/json": {"schema": {"$ref": REF + schema}}}
    made: dict[str, Any] = {
        "description": f"{verb} {kind.kind}",
        "operationId": f"{verb}{kind.kind}",
        "parameters": [{"name": n, "in": "query", "schema": {"type": t}} for n, t in query.items()],
        "responses": {"200": {"description": "OK", "content": answer}},
        "x-kubernetes-action": {"create": "post", "update": "put"}.get(verb, verb),
        "x-kubernetes-group-version-kind": kind._asdict(),
    }
    if verb == "patch":
        forms = PATCHES if schema.startswith("io.k8s.") else PATCHES[:-1]  # custom resources: no strategic merge
        content = {f"application/{form}": {"schema": {"type": "object"}} for form in forms}
        made["requestBody"] = {"required": True, "content": content}
    elif verb in ("create", "update"):
        made["requestBody"] = {"required": True, "content": {"*/*": {"schema": {"$ref": REF + schema}}}}
    return made


if __name__ == "__main__":
    build(Path(sys.argv[1]))
