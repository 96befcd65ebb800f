"""Upstream's own examples, where they are at hand: `ARGO_EXAMPLES` names their folder. None may break the controller, and
all that use only what is supported must be valid."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from play import Object, Play, world

from kubeproc.api_errors import ApiError
from kubeproc.resources import CLUSTERWORKFLOWTEMPLATES, WORKFLOWTEMPLATES
from kubeproc.store import Store

FOLDER = os.environ.get("ARGO_EXAMPLES", "")
KINDS = {"WorkflowTemplate": WORKFLOWTEMPLATES, "ClusterWorkflowTemplate": CLUSTERWORKFLOWTEMPLATES}

pytestmark = pytest.mark.skipif(not FOLDER, reason="ARGO_EXAMPLES does not name a folder with Argo's examples")


def documents() -> list[tuple[str, Object]]:
    import yaml

    found: list[tuple[str, Object]] = []
    for path in sorted(Path(FOLDER).rglob("*.yaml")) if FOLDER else ():
        for i, document in enumerate(yaml.safe_load_all(path.read_text(encoding="utf-8"))):
            if isinstance(document, dict):
                found.append((f"{path.relative_to(FOLDER)}:{i}", json.loads(json.dumps(document, default=str))))
    return found


DOCUMENTS = documents()
WORKFLOWS = [(name, document) for name, document in DOCUMENTS if document.get("kind") == "Workflow"]


def with_templates() -> Store:
    store = world()
    for _, document in DOCUMENTS:
        resource = KINDS.get(document.get("kind", ""))
        if resource and document.get("metadata", {}).get("name"):
            try:
                store.create(resource, {**document, "metadata": {**document["metadata"], "namespace": "default"}})
            except ApiError:
                continue  # two examples of one name
    return store


@pytest.mark.parametrize("document", [d for _, d in WORKFLOWS], ids=[name for name, _ in WORKFLOWS])
def test_an_example_is_valid_and_comes_to_rest(document: Object) -> None:
    meta = document["metadata"]
    name = meta.get("name") or (meta.get("generateName", "x-") + "abc")[-60:].strip("-")
    labels: Any = meta.get("labels") or {}
    play = Play(document["spec"], with_templates(), name, labels=labels, annotations=meta.get("annotations") or {})
    play.run(lambda pod: {"result": "[1,2]"})
    if play.message.startswith("invalid spec"):
        assert "not supported by the embedded cluster" in play.message
