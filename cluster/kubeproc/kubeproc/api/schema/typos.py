"""Unknown fields of a Workflow or its templates: accepted, as Argo's CustomResourceDefinitions accept them, with a warning.

Those definitions keep every field, so that a misspelled one has no effect and no error. This server answers with a
`Warning` header, which kubectl prints. The known fields come from the server's own OpenAPI document, which is made
already: a client that shows warnings reads it before it writes.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request

from kubeproc.api.schema import openapi
from kubeproc.resources import CLUSTERWORKFLOWTEMPLATES, WORKFLOWS, WORKFLOWTEMPLATES, Resource

Types = dict[str, Any]

KINDS = (WORKFLOWS, WORKFLOWTEMPLATES, CLUSTERWORKFLOWTEMPLATES)
MOST = 10  # warnings for one object
_types: dict[Path, Types] = {}


def warnings(request: Request, resource: Resource, obj: Any) -> list[str]:
    """What to warn of in an object that was sent: its unknown fields, by their paths."""
    if resource not in KINDS:
        return []
    types = _known(request)
    spec = types.get(f"io.argoproj.v1alpha1.{resource.kind}", {}).get("spec")
    found = _unknown(types, spec, obj.get("spec"), "spec")
    return [f'unknown field "{path}"' for path, _ in zip(found, range(MOST), strict=False)]


@functools.cache
def _file(home: Path) -> Path:
    return openapi.folder(home) / f"apis_{WORKFLOWS.api_version.replace('/', '_')}.json"


def _known(request: Request) -> Types:
    """The types of the document, if it has been made."""
    file = _file(request.app.state.home)
    if file not in _types:
        try:
            schemas = json.loads(file.read_bytes())["components"]["schemas"]
        except FileNotFoundError:
            return {}
        _types[file] = {name: {k: _brief(v) for k, v in s["properties"].items()} if "properties" in s else _brief(s)
                        for name, s in schemas.items()}  # fmt: skip
    return _types[file]


def _brief(schema: Mapping[str, Any]) -> Any:
    """A field's type: a name, a list of one type, or None where nothing is to be said of it."""
    if "allOf" in schema:
        return _brief(schema["allOf"][0])
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if schema.get("type") == "array":
        return [_brief(schema.get("items") or {})]
    if "additionalProperties" in schema:
        return ("*", _brief(schema["additionalProperties"]))
    return None


def _unknown(types: Types, kind: Any, value: Any, path: str) -> Iterator[str]:
    if isinstance(kind, str):
        kind = types.get(kind)
    if isinstance(kind, list) and isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _unknown(types, kind[0], inner, f"{path}[{i}]")
    elif isinstance(kind, tuple) and isinstance(value, dict):
        for name, inner in value.items():
            yield from _unknown(types, kind[1], inner, f"{path}.{name}")
    elif isinstance(kind, dict) and kind and isinstance(value, dict):
        for name, inner in value.items():
            if name in kind:
                yield from _unknown(types, kind[name], inner, f"{path}.{name}")
            else:
                yield f"{path}.{name}"
