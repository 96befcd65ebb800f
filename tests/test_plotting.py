"""Figures are drawn from API objects: what they say of a workflow is what its status says."""

from __future__ import annotations

import matplotlib

matplotlib.use("agg")

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from labkit import plotting
from labkit.plotting import graph


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


def test_a_retried_task_is_its_last_attempt_and_knows_them_all() -> None:
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
    assert [attempt["id"] for attempt in found["r1"]["attempts"]] == ["r0", "r1"]
    assert plotting.label(found["r1"]) == "r1\n2 attempts"


def test_attempts_of_what_has_tasks_of_its_own_show_the_tasks_of_each() -> None:
    found = plotting.tasks(
        workflow(
            node("wf", "DAG", ("r",)),
            node("r", "Retry", ("r0", "r1")),
            node("r0", "DAG", ("a",)),
            node("r1", "DAG", ("b",)),
            node("a"),
            node("b", children=("z",)),
            node("z"),
        )
    )
    assert {id: n["after"] for id, n in found.items()} == {"a": [], "b": [], "z": ["b"]}
    plotting.workflow(workflow(*found.values()), Figure().subplots())


def test_each_attempt_is_a_strip_in_the_box_of_its_task() -> None:
    nodes = [node("wf", "DAG", ("r",)), node("r", "Retry", ("r0", "r1", "r2"))]
    nodes += [node(f"r{n}") | {"phase": phase} for n, phase in enumerate(("Failed", "Error", "Succeeded"))]
    axes = Figure().subplots()
    plotting.workflow(workflow(*nodes), axes)
    strips = sorted((p for p in axes.patches if isinstance(p, Rectangle)), key=lambda p: p.get_x())
    assert [p.get_facecolor() for p in strips] == [
        to_rgba(plotting.COLOURS[phase]) for phase in ("Failed", "Error", "Succeeded")
    ]


def test_a_long_chain_and_a_wide_loop_are_drawn() -> None:
    """2,000 tasks after each other, and 300 that all wait for 300: 90,000 dependencies."""
    chain = [node(f"n{i}", children=(f"n{i + 1}",) if i < 1999 else ()) for i in range(2000)]
    assert plotting.levels(plotting.tasks(workflow(node("wf", "DAG", ("n0",)), *chain)))["n1999"] == 1999
    first, second = [f"a{i}" for i in range(300)], [f"b{i}" for i in range(300)]
    wide = workflow(
        node("wf", "DAG", ("one",)),
        node("one", "TaskGroup", tuple(first)),
        *(node(id, children=("two",), templateName="a") for id in first),
        node("two", "TaskGroup", tuple(second)),
        *(node(id, templateName="b") for id in second),
    )
    axes = Figure().subplots()
    plotting.workflow(wide, axes)
    (lines,) = axes.collections[:1]
    assert len(lines.get_segments()) == 600, "they meet in one point"
    assert [t.get_text() for t in axes.texts] == ["300 x a succeeded", "300 x b succeeded"], "boxes too small for words"


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


@pytest.mark.parametrize(
    ("path", "shown", "called"),
    [
        ("wf.serve-first[0].service", "service", "serve-first service"),
        ("wf.serve(0:first)[0].service(0)", "service(0)", "service first"),
        ("wf.ingest.ingest(0)", "ingest(0)", "ingest"),
        ("wf.train(1:mlp)(0)", "train(1:mlp)(0)", "train mlp"),
        ("wf[0].hello", "hello", "hello"),
        ("wf.onExit[0].remove(0:kind:Pod)", "remove(0:kind:Pod)", "remove Pod"),
        ("wf", "wf", "wf"),
    ],
)
def test_a_task_inside_of_another_is_told_from_its_namesakes(path: str, shown: str, called: str) -> None:
    assert plotting.label({"name": path, "displayName": shown}).replace("\n", " ") == called


@pytest.mark.parametrize(
    ("phase", "said"),
    [("Failed", "failed, 7 s"), ("Succeeded", "7 s"), ("Omitted", "not run"), ("Pending", "waits"), ("Running", "")],
)
def test_a_box_says_in_words_what_its_colour_says(phase: str, said: str) -> None:
    times = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:07Z"}
    told = plotting.label({"displayName": "a", "phase": phase} | (times if "7" in said or phase == "Omitted" else {}))
    assert told == f"a\n{said}".rstrip()


def test_a_title_says_what_the_numbers_count() -> None:
    running = {"metadata": {"name": "wf"}, "status": {"phase": "Running", "progress": "13/16"}}
    assert graph.title(running) == "wf: Running; 13 of 16 step pods have succeeded"
    assert graph.title({"metadata": {"name": "wf"}}) == "wf: Pending"


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


def test_a_workflow_is_drawn_with_a_box_for_each_task_and_a_line_for_each_dependency() -> None:
    axes = Figure().subplots()
    plotting.workflow(DIAMOND, axes)
    assert len([p for p in axes.patches if isinstance(p, FancyBboxPatch)]) == 4
    lines = next(c for c in axes.collections if c.get_gid() == "arrows")
    assert len(lines.get_segments()) == 4


def pod(uid: str, *changes: tuple[float, str], **more: str) -> plotting.Pod:
    return plotting.Pod(uid, more.pop("name", uid), list(changes), **more)


def bars(*pods: plotting.Pod, until: float | None = None) -> list[tuple[int, float, float, str]]:
    """(row, from, to, phase by its colour) of what is drawn."""
    axes = Figure().subplots()
    plotting.timeline({p.uid: p for p in pods}, axes, until)
    phases = {to_rgba(colour): phase for phase, colour in plotting.COLOURS.items()}
    return [
        (round(b.get_y() + b.get_height() / 2), b.get_x(), b.get_x() + b.get_width(), phases[b.get_facecolor()])
        for b in axes.patches
    ]


def test_a_pod_that_was_removed_while_it_ran_is_drawn_neither_as_running_nor_as_failed() -> None:
    removed = pod("ps", (0.0, "Pending"), (1.0, "Running"), (5.0, "Removed"))
    running = pod("worker", (0.0, "Pending"), (1.0, "Running"))
    assert bars(removed, running, until=6.0) == [
        (0, 0.0, 1.0, "Pending"),
        (0, 1.0, 5.0, "Removed"),
        (1, 0.0, 1.0, "Pending"),
        (1, 1.0, 6.0, "Running"),
    ]


def test_a_pod_that_is_made_again_under_its_name_is_another_bar_of_its_row() -> None:
    first = pod("1", (0.0, "Running"), (4.0, "Failed"), name="chief-0")
    again = pod("2", (6.0, "Running"), name="chief-0")
    assert bars(first, again, until=9.0) == [(0, 0.0, 4.0, "Error"), (0, 6.0, 9.0, "Running")]


def test_pods_of_one_label_that_run_at_the_same_time_have_a_row_each() -> None:
    one = pod("1", (0.0, "Running"), label="twin")
    two = pod("2", (0.0, "Running"), label="twin")
    assert {row for row, *_ in bars(one, two, until=9.0)} == {0, 1}


def test_why_a_pod_waits_stands_beside_it_and_is_cut_where_it_is_long() -> None:
    axes = Figure(figsize=(10, 4)).subplots()
    why = "ImagePullBackOff: " + "x" * 200
    plotting.timeline({"a": pod("a", (0.0, "Pending"), why=why)}, axes, until=10.0)
    (text,) = [t.get_text() for t in axes.texts]
    assert text.startswith("ImagePullBackOff: x")
    assert len(text) == 90


def test_the_legend_names_each_colour_once() -> None:
    figure = Figure(figsize=(11, 4))
    plotting.legend(figure, 0.1)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["waiting", "running", "succeeded", "failed", "ran until it was removed", "left out"]
    colours = [plotting.COLOURS[p] for p in ("Pending", "Running", "Succeeded", "Failed", "Removed", "Omitted")]
    assert len(set(colours)) == len(words)


def test_an_empty_history_is_an_empty_picture() -> None:
    axes = Figure().subplots()
    plotting.timeline({}, axes)
    assert not axes.patches
