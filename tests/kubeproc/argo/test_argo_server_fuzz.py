"""Whatever is sent to the Argo Server, it answers in its own form: a result, or a code and a message."""

from __future__ import annotations

from typing import Any

from argo_serving import Served
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORDS = st.sampled_from(["a", "main", "x", "{{x}}", "", "1", "a.b", "é"])
LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | WORDS | st.floats(-1, 1)
FIELDS = st.sampled_from(
    ["name", "metadata", "spec", "templates", "entrypoint", "arguments", "parameters", "inputs", "outputs", "steps", "dag",
     "tasks", "template", "container", "script", "resource", "suspend", "image", "command", "args", "withItems", "when",
     "value", "valueFrom", "path", "artifacts", "raw", "retryStrategy", "limit", "labels", "annotations", "generateName",
     "workflowTemplateRef", "status", "nodes", "hooks", "volumes", "depends", "memoize", "templateRef", "source", "onExit"]
)  # fmt: skip
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4))
CALLS = st.sampled_from(
    [
        ("POST", "workflows/default", "workflow"),
        ("POST", "workflows/default/lint", "workflow"),
        ("POST", "workflows/default/submit", "submitOptions"),
        ("POST", "workflow-templates/default", "template"),
        ("POST", "workflow-templates/default/lint", "template"),
        ("POST", "cluster-workflow-templates", "template"),
        ("PUT", "workflow-templates/default/t", "template"),
        *[("PUT", f"workflows/default/wf/{a}", "parameters") for a in ("retry", "resubmit", "resume", "stop", "set")],
    ]
)
TEMPLATES = st.lists(st.dictionaries(FIELDS, VALUES, max_size=5), max_size=3)
SPECS = st.fixed_dictionaries({"entrypoint": WORDS, "templates": TEMPLATES}) | VALUES
WORKFLOWS = st.fixed_dictionaries({"metadata": st.fixed_dictionaries({"name": WORDS}) | VALUES, "spec": SPECS}) | VALUES


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(call=CALLS, value=WORKFLOWS, whole=st.booleans())
def test_any_body_is_answered_in_argos_form(
    served: Served, call: tuple[str, str, str], value: Any, whole: bool
) -> None:
    method, path, field = call
    body = value if whole else {field: value, "resourceKind": "WorkflowTemplate", "resourceName": "t"}
    answer = served.http.request(method, f"/api/v1/{path}", json=body)
    found = answer.json()
    assert found.get("kind") != "Status", (method, path, body, found)
    if answer.status_code != 200:
        assert set(found) == {"code", "message"}, found


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(["workflows/default", "workflow-templates/default", "workflows/default/none"]),
    query=st.dictionaries(
        st.sampled_from(["listOptions.limit", "listOptions.continue", "listOptions.labelSelector", "fields", "namePattern",
                         "listOptions.fieldSelector", "nameFilter"]),
        st.text("a=,!()-0.9é in", max_size=8),
    ),
)  # fmt: skip
def test_any_query_is_answered_in_argos_form(served: Served, path: str, query: dict[str, str]) -> None:
    answer = served.get(f"/api/v1/{path}", **query)
    assert answer.json().get("kind") != "Status", (path, query, answer.text)
