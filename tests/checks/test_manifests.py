"""Answers that are manifests: what is wrong with their text, and what was changed in it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from labkit import checks

WORKFLOW = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: w-}
spec:
  entrypoint: main
  templates:
  - name: main
    steps: [[{name: one, template: say}], [{name: two, template: say}]]
  - name: say
    container: {image: busybox, args: [a, b]}
"""


@pytest.mark.parametrize(("manifest", "diagnosis"), [
    (None, "there is no manifest yet"),
    ("", "the manifest is empty"),
    (" \n\t\n", "the manifest is empty"),
    ("# apiVersion: v1\n---\n", "the manifest is empty"),
    ({}, "the manifest is empty"),
    (3, "is a whole number, not YAML text"),
    ("just words\n", "the manifest is text, 'just words', and not an object with fields"),
    ("- a\n- b\n", "the manifest is a list"),
    ("kind: Pod\n", "the manifest has no apiVersion"),
    ("apiVersion: v1\nkind: Pod\n", "no metadata"),
    ({"kind": "Pod"}, "the manifest has no apiVersion"),
    ("apiVersion: v1\nkind: Pod\nmetadata:\n", "metadata is empty"),
    ("apiVersion: v1\nkind: Pod\nmetadata: {labels: {a: b}}\n", "the manifest gives no name"),
    ("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n", "is of kind Service, expected Pod"),
    ("a: [\n", "not YAML"),
])  # fmt: skip
def test_a_text_that_is_no_pod_gets_a_diagnosis_and_a_hint(manifest: Any, diagnosis: str) -> None:
    with pytest.raises(checks.CheckFailed, match=diagnosis) as caught:
        checks.create(manifest, "Pod")
    assert caught.value.hint


def changed(**changes: str) -> set[str]:
    text = WORKFLOW
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    return checks.changes(WORKFLOW, text)


def test_what_was_changed_is_named_by_its_path() -> None:
    assert changed() == set()
    assert changed(busybox="alpine") == {"spec.templates.say.container.image"}
    assert changed(container="script") == {"spec.templates.say.container", "spec.templates.say.script"}
    assert changed(entrypoint="onExit") == {"spec.entrypoint", "spec.onExit"}
    assert checks.changes(yaml.safe_load(WORKFLOW), WORKFLOW) == set()
    assert checks.changes(WORKFLOW, WORKFLOW.replace("[a, b]", "[b, a]")) == {
        "spec.templates.say.container.args.0",
        "spec.templates.say.container.args.1",
    }
    assert checks.changes(WORKFLOW, WORKFLOW.replace("[a, b]", "['1', b]").replace("1", "true")) != set()


def test_the_order_of_named_things_and_the_way_of_writing_are_no_change() -> None:
    other = yaml.safe_load(WORKFLOW)
    other["spec"]["templates"].reverse()
    assert checks.changes(WORKFLOW, other) == set()
    assert checks.changes(WORKFLOW, yaml.safe_dump(other)) == set()


def test_a_pod_can_be_made_to_believe_that_it_runs_elsewhere() -> None:
    pod = """
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - name: main
    image: busybox
    env:
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: ME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: PLAIN, value: "1"}
"""
    node, me, plain = checks.pretend(pod, "spec.nodeName", "x")["spec"]["containers"][0]["env"]
    assert node == {"name": "NODE", "value": "x"}
    assert "valueFrom" in me
    assert plain == {"name": "PLAIN", "value": "1"}
