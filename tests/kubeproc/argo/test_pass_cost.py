"""What a pass over a workflow costs: it shares what it does not change, and a task costs no more where there are many."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from play import Object, Play, container, dag, task, workflow

from kubeproc.argo.validation import group_checks
from kubeproc.argo.workflow import controller, pod_state
from kubeproc.resources import PODS, WORKFLOWS, WORKFLOWTASKRESULTS
from kubeproc.store import Event

SIDE = 5


def layers(tasks: int) -> Object:
    """A DAG in which five tasks after the other wait for the five before them."""
    made = []
    for n in range(tasks):
        before = range(n // SIDE * SIDE - SIDE, n // SIDE * SIDE)
        made.append(task(f"t{n}", " && ".join(f"t{i}" for i in before if i >= 0)))
    return workflow(dag(*made), container("work"))


def calls(work: Callable[[], Any]) -> int:
    """How many functions of Python `work` calls: a measure of what it does that no other load changes."""
    count = 0

    def hear(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(hear)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_a_pass_that_finds_nothing_to_do_shares_the_stored_workflow_and_writes_nothing() -> None:
    play = Play(layers(20))
    play.settle()
    stored = play.store.find(WORKFLOWS, "default", play.name, shared=True)
    play.reconcile()
    assert play.store.find(WORKFLOWS, "default", play.name, shared=True) is stored


def test_a_pass_keeps_the_spec_and_what_has_ended_as_the_store_has_them() -> None:
    play = Play(layers(20))
    play.settle()
    before = play.store.find(WORKFLOWS, "default", play.name, shared=True)
    pod = play.pods()[0]
    play.start(pod)
    play.end(play.pod_again(pod))
    play.reconcile()
    after = play.store.find(WORKFLOWS, "default", play.name, shared=True)
    assert before is not None
    assert after is not None
    assert after is not before
    assert after["spec"] is before["spec"]


@pytest.mark.parametrize("stage", ["first", "later"])
def test_what_a_pass_does_grows_with_the_tasks_and_not_with_their_square(stage: str) -> None:
    counts = []
    for tasks in (50, 200):
        play = Play(layers(tasks))
        if stage == "later":
            play.settle()
            for _ in range(tasks // SIDE // 2):  # half of the layers
                for pod in play.pods():
                    play.start(pod)
                    play.end(play.pod_again(pod))
                play.settle()
            pod = play.pods()[0]
            play.start(pod)
        counts.append(calls(play.reconcile))
    assert counts[1] < 6 * counts[0], f"four times the tasks: {counts[0]} calls became {counts[1]}"


def test_a_task_that_names_no_other_is_checked_without_a_look_at_its_ancestors(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    ancestors = group_checks._ancestors
    monkeypatch.setattr(group_checks, "_ancestors", lambda name, needs: looked.append(name) or ancestors(name, needs))
    tasks = [task("a"), task("b", "a"), task("c", "b", when="{{tasks.a.status}} == Succeeded")]
    Play(workflow(dag(*tasks), container("work"))).settle()
    assert looked == ["c"]


def test_progress_is_the_sum_over_the_pods_below_whatever_the_order_of_the_nodes() -> None:
    nodes = {"c": {}, "a": {"children": ["b", "c"]}, "b": {"children": ["c", "gone"]}, "x": {"children": ["a"]}}
    bits = {"b": 1, "c": 2}
    expected = {"a": 3, "b": 3, "c": 2, "x": 3}
    assert pod_state._reach(nodes, bits) == expected
    assert pod_state._reach(dict(reversed(nodes.items())), bits) == expected


def test_a_pod_asks_for_a_pass_when_its_phase_changes_and_for_no_other() -> None:
    play = Play(layers(1))
    asked: list[tuple[str, str]] = []

    def hear(event: Event) -> None:
        if event.resource in (PODS, WORKFLOWTASKRESULTS):
            found = list(controller.CONTROLLER.concerned(event, play.store))
            asked.append((event.type, (event.object.get("status") or {}).get("phase", ""))) if found else None

    play.store.watch(hear)
    play.settle()
    pod = play.pods()[0]
    play.start(pod)
    pod = play.pod_again(pod)
    play.report(pod, "1")
    play.set_status(pod, {**pod["status"], "conditions": []})
    assert asked == [("MODIFIED", "Running")]
    report = play.store.list(WORKFLOWTASKRESULTS)[0]
    play.store.replace(WORKFLOWTASKRESULTS, {**report, "progress": "1/2"})
    play.end(play.pod_again(pod))
    play.store.replace(WORKFLOWTASKRESULTS, {**play.store.list(WORKFLOWTASKRESULTS)[0], "outputs": {"result": "2"}})
    assert asked[1:] == [("MODIFIED", ""), ("MODIFIED", "Succeeded"), ("MODIFIED", "")]
    play.reconcile()
    assert len(asked) == 4, "the label of a pod that is done with asks for no pass"
