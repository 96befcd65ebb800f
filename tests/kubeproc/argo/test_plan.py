"""The order of a DAG and what a task refers to: made once, and no further than the text goes."""

from __future__ import annotations

from typing import Any

import pytest

from kubeproc.argo.templates import plan


def dag(*tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"dag": {"tasks": list(tasks), **more}}


def test_tasks_come_after_what_they_need_and_nothing_more_is_visited() -> None:
    tasks = [
        {"name": "c", "depends": "b && a.Failed"},
        {"name": "b", "dependencies": ["a"]},
        {"name": "a"},
        {"name": "x"},
    ]
    found = plan.of(dag(*tasks, target="c"))
    assert (found.order, found.targets) == (["a", "b", "c"], ["c"])
    assert (found.needs["c"], found.needs["b"], found.needs["x"]) == (["b", "a"], ["a"], [])
    assert "a.Failed" in found.conditions["c"]
    assert plan.of(dag(*tasks)).targets == ["c", "x"]


def test_a_plan_is_made_once_for_all_passes_and_anew_for_another_dag() -> None:
    first = plan.of(dag({"name": "a", "template": "one"}, {"name": "b", "dependencies": ["a"]}))
    assert plan.of(dag({"name": "a", "template": "two"}, {"name": "b", "dependencies": ["a"]})) is first
    lenient = plan.of(dag({"name": "a", "continueOn": {"failed": True}}, {"name": "b", "dependencies": ["a"]}))
    assert "a.Failed" in lenient.conditions["b"] != first.conditions["b"]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("", set()),
        ("{{tasks.a-1.outputs.result}} {{ tasks.b.status }}", {"a-1", "b"}),
        ("{{=tasks['a-b'].outputs.result}}", {"a-b"}),
        ('{{=tasks["a-b"].outputs.result}}', {"a-b"}),
        ("{{=sprig.len(tasks)}}", None),
        ("{{=tasks[inputs.parameters.which].status}}", None),
        ("{{tasks.a.status}} of all tasks", None),
        ("subtasks are none", set()),
    ],
)
def test_the_tasks_that_a_task_names(value: str, named: set[str] | None) -> None:
    task = {"name": "tasks", "arguments": {"parameters": [{"name": "p", "value": value}]}}
    assert plan.references(task) == named
    assert plan.references({"name": "x", "when": value}) == named
