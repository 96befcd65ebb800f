"""Random DAGs with random outcomes, against a small model of what must happen."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from play import Object, Play, container, display

OUTCOMES = ("Succeeded", "Failed", "Skipped")
PHASES = {"Succeeded": "Succeeded", "Failed": "Failed", "Skipped": "Skipped", "Omitted": "Omitted"}


@st.composite
def dags(draw: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Tasks with their `depends`, and what becomes of each that runs."""
    count = draw(st.integers(1, 7))
    names = [f"t{i}" for i in range(count)]
    depends: dict[str, str] = {}
    for i, name in enumerate(names):
        needed = draw(st.lists(st.sampled_from(names[:i]), max_size=3, unique=True)) if i else []
        terms = []
        for other in needed:
            result = draw(st.sampled_from(["", ".Succeeded", ".Failed", ".Skipped", ".Omitted"]))
            terms.append(draw(st.sampled_from(["", "!"])) + other + result)
        depends[name] = draw(st.sampled_from([" && ", " || "])).join(terms)
    return depends, {name: draw(st.sampled_from(OUTCOMES)) for name in names}


def expected(depends: dict[str, str], outcomes: dict[str, str]) -> dict[str, str]:
    """The phase of each task: a model in a few lines."""
    phases: dict[str, str] = {}
    for name, condition in depends.items():
        source = condition.replace("!", " not ").replace("&&", "and").replace("||", "or")
        for other in sorted(phases, reverse=True):
            for result in ("Succeeded", "Failed", "Skipped", "Omitted"):
                source = source.replace(f"{other}.{result}", str(phases[other] == result))
            source = source.replace(other, str(phases[other] in ("Succeeded", "Skipped")))
        phases[name] = outcomes[name] if not source.strip() or eval(source) else "Omitted"
    return phases


@settings(max_examples=60, deadline=None)
@given(dags())
def test_every_task_ends_as_its_dependencies_ask(dag: tuple[dict[str, str], dict[str, str]]) -> None:
    depends, outcomes = dag
    tasks: list[Object] = []
    for name, condition in depends.items():
        task: Object = {"name": name, "template": "work"}
        if condition:
            task["depends"] = condition
        if outcomes[name] == "Skipped":
            task["when"] = "a == b"
        tasks.append(task)
    # Pods are ended in the order of the tasks' names, which is not the order in which they were started.
    play = Play({"entrypoint": "main", "templates": [{"name": "main", "dag": {"tasks": tasks}}, container("work")]})
    play.run(lambda pod: 1 if outcomes[display(pod)] == "Failed" else 0)
    wanted = expected(depends, outcomes)
    assert {name: play.nodes["." + name]["phase"] for name in wanted} == wanted
    assert play.phase in ("Succeeded", "Failed")
    position = {name.removeprefix("."): i for i, name in enumerate(play.order)}
    for name, condition in depends.items():
        for other in wanted:
            if other in condition.replace("!", "") and name in position and other in position:
                assert position[other] < position[name]
    ran = {name for name, phase in wanted.items() if phase in ("Succeeded", "Failed")}
    assert set(position) == ran
    _tree_is_sound(play)


def _tree_is_sound(play: Play) -> None:
    nodes = play.status["nodes"]
    children = {child for node in nodes.values() for child in node.get("children") or ()}
    assert children <= set(nodes)
    assert children | {play.name} == set(nodes)
    for node in nodes.values():
        assert node["finishedAt"]
        assert set(node.get("outboundNodes") or ()) <= set(nodes)
