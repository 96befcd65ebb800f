"""Misspelled fields of workflows are told, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

PATH = "/apis/argoproj.io/v1alpha1/namespaces/{}/workflows"
KIT = [
    *(Path(__file__).parents[3] / "workflows").rglob("*.yaml"),
    *Path(os.environ.get("ARGO_EXAMPLES") or "/nowhere").rglob("*.yaml"),
]


@pytest.fixture(scope="module")
def asked(api_server: Any) -> None:
    """A client has asked what the fields are, as kubectl does before it writes."""
    assert api_server.client().get("/openapi/v3").status_code == 200


def warned(answer: httpx.Response) -> list[str]:
    assert answer.is_success, answer.text
    return answer.headers.get_list("warning")


@pytest.mark.usefixtures("asked")
def test_unknown_fields_are_accepted_with_a_warning(http: httpx.Client, namespace: str) -> None:
    container = {"image": "busybox", "comand": ["true"], "env": [{"name": "a", "valeu": "b"}]}
    spec = {"suspend": True, "entrypoint": "a", "foo": 1, "templates": [{"name": "a", "container": container, "bar": {}}],
            "arguments": {"parameters": [{"name": "p", "value": {"any": "thing"}}]}}  # fmt: skip
    body = {"metadata": {"name": "w"}, "spec": spec}
    fields = ("spec.foo", "spec.templates[0].container.comand", "spec.templates[0].container.env[0].valeu",
              "spec.templates[0].bar")  # fmt: skip
    made = http.post(PATH.format(namespace), json=body, params={"fieldValidation": "Strict"})
    assert set(warned(made)) == {f'299 - "unknown field \\"{field}\\""' for field in fields}
    assert made.json()["spec"]["foo"] == 1
    merge = {"Content-Type": "application/merge-patch+json"}
    changed = http.patch(PATH.format(namespace) + "/w", content='{"spec": {"foo": null, "onExot": "a"}}', headers=merge)
    assert '299 - "unknown field \\"spec.onExot\\""' in warned(changed)
    assert '299 - "unknown field \\"spec.foo\\""' not in warned(changed)


@pytest.mark.usefixtures("asked")
def test_what_is_spelled_right_is_passed_over(http: httpx.Client, namespace: str) -> None:
    plurals = {"Workflow": "workflows", "WorkflowTemplate": "workflowtemplates"}
    found = [
        (path, obj)
        for path in KIT
        for obj in yaml.safe_load_all(path.read_text())
        if obj and obj.get("kind") in plurals
    ]
    assert found
    for path, obj in found:
        obj["metadata"] = {"name": obj["metadata"].get("name") or "x"}
        url = PATH.format(namespace).replace("workflows", plurals[obj["kind"]])
        body = yaml.safe_dump(obj)
        sent = http.post(url, content=body, headers={"Content-Type": "application/yaml"}, params={"dryRun": "All"})
        assert not sent.headers.get_list("warning"), path
