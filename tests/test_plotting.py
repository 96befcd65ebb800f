"""Figures are drawn from API objects: what they say of a workflow is what its status says."""

from __future__ import annotations

import matplotlib

matplotlib.use("agg")

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from labkit import plotting


def node(id: str, type: str = "Pod", children: tuple[str, ...] = (), **more: str) -> dict:
    return {
        "id": id,
        "name": id,
        "displayName": id,
        "type": type,
        "phase": "Succeeded",
        "children": list(children),
        **more,
    }


def workflow(*nodes: dict) -> dict:
    return {"metadata": {"name": "wf"}, "status": {"phase": "Succeeded", "nodes": {n["id"]: n for n in nodes}}}


DIAMOND = workflow(
    node("wf", "DAG", ("a",)),
    node("a", children=("b", "group")),
    node("b", children=("d",)),
    node("group", "TaskGroup", ("c",)),
    node("c", children=("d",)),
    node("d"),
)


def test_virtual_nodes_are_contracted() -> None:
    found = plotting.tasks(DIAMOND)
    assert {id: n["after"] for id, n in found.items()} == {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
    assert plotting.levels(found) == {"a": 0, "b": 1, "c": 1, "d": 2}


def test_arrows_of_two_lines_side_by_side_do_not_cross() -> None:
    """Whichever of the later two began first."""
    for first, second in (("1", "2"), ("2", "1")):
        found = plotting.tasks(
            workflow(
                node("wf", "DAG", ("a", "b")),
                node("a", children=("after-a",), startedAt="0"),
                node("b", children=("after-b",), startedAt="0"),
                node("after-a", startedAt=first),
                node("after-b", startedAt=second),
            )
        )
        heights = {id: y for id, (_, y) in plotting.places(found).items()}
        assert heights["after-a"] == heights["a"] > heights["b"] == heights["after-b"]


def test_a_retried_task_is_its_last_attempt() -> None:
    found = plotting.tasks(
        workflow(
            node("wf", "DAG", ("r",)),
            node("r", "Retry", ("r0", "r1")),
            node("r0"),
            node("r1", children=("z",)),
            node("z"),
        )
    )
    assert {id: n["after"] for id, n in found.items()} == {"r1": [], "z": ["r1"]}


def test_what_was_taken_from_memory_stands_for_the_parts_that_did_not_run() -> None:
    hit = node("m", "DAG", ("z",)) | {"displayName": "ingest", "memoizationStatus": {"hit": True}}
    found = plotting.tasks(workflow(node("wf", "DAG", ("m",)), hit, node("z")))
    assert {id: n["after"] for id, n in found.items()} == {"m": [], "z": ["m"]}
    assert plotting.label(found["m"]) == "ingest\nremembered"


def test_exit_handlers_stand_last() -> None:
    found = plotting.tasks(workflow(node("wf", "DAG", ("a",)), node("a"), node("x") | {"name": "wf.onExit[0].x"}))
    assert plotting.levels(found) == {"a": 0, "x": 1}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("train(1:mlp)(0)", "train mlp"),
        ("ingest(0)", "ingest"),
        ("remove(0:kind:Service,place:first)(0)", "remove Service\nfirst"),
    ],
)
def test_a_label_is_what_a_person_would_call_the_task(name: str, shown: str) -> None:
    assert plotting.label({"displayName": name}) == shown
    timed = {"displayName": name, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:07Z"}
    assert plotting.label(timed) == f"{shown}\n7 s"


def test_what_a_box_says_lies_inside_of_it() -> None:
    """As wide and high as boxes are in the picture of the end-to-end system."""
    chain = [node(f"n{i}", children=(f"n{i + 1}",) if i < 6 else ()) for i in range(7)]
    times = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:17Z"}
    chain += [
        node(f"r{i}")
        | times
        | {"name": "wf.onExit", "displayName": f"remove(0:kind:{kind},place:second,version:{api})"}
        for i, (kind, api) in enumerate([("Deployment", "apps/v1")] * 2 + [("Service", "v1")] * 2)
    ]
    figure = Figure(figsize=(11, 3), dpi=100)
    axes = figure.add_axes((0.135, 0, 0.865, 0.9))  # the names of pods below take the rest
    plotting.workflow(workflow(node("wf", "DAG", ("n0",)), *chain), axes)
    FigureCanvasAgg(figure).draw()
    boxes = [patch.get_window_extent() for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    texts = [text for text in axes.texts if text.get_text()]
    assert len(texts) == len(boxes) == 11
    for text in texts:
        extent = text.get_window_extent()
        assert any(
            b.x0 <= extent.x0 and extent.x1 <= b.x1 and b.y0 <= extent.y0 and extent.y1 <= b.y1 for b in boxes
        ), text.get_text()


def test_a_workflow_is_drawn_with_a_box_for_each_task_and_an_arrow_for_each_dependency() -> None:
    axes = Figure().subplots()
    plotting.workflow(DIAMOND, axes)
    assert len(axes.patches) == 4
    assert sum(t.arrow_patch is not None for t in axes.texts if hasattr(t, "arrow_patch")) == 4


def test_a_pod_that_was_removed_while_it_ran_is_not_drawn_as_failed() -> None:
    axes = Figure().subplots()
    plotting.timeline({"wf-ps-0": [(0.0, "Pending"), (1.0, "Running"), (5.0, "Deleted")]}, axes)
    waiting, running = axes.patches
    assert running.get_facecolor() == matplotlib.colors.to_rgba(plotting.COLOURS["Running"])
    assert (waiting.get_width(), running.get_width()) == (1.0, 4.0)


def test_an_empty_history_is_an_empty_picture() -> None:
    axes = Figure().subplots()
    plotting.timeline({}, axes)
    assert not axes.patches
