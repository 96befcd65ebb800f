"""Tasks of a DAG with a played kubelet: who waits for whom, and what a failure leaves undone."""

from __future__ import annotations

from play import Play, container, dag, display, task, workflow

from kubeproc.argo.templates import node_names


def test_a_dag_draws_its_edges_from_the_nodes_dependencies_end_in() -> None:
    play = Play(workflow(dag(task("a"), task("b", "a"), task("c", "a"), task("d", "b && c")), container("work"))).run()
    nodes = play.nodes
    ids = {name: node["id"] for name, node in nodes.items()}
    assert nodes[""]["children"] == [ids[".a"]]
    assert nodes[".a"]["children"] == [ids[".b"], ids[".c"]]
    assert nodes[".b"]["children"] == nodes[".c"]["children"] == [ids[".d"]]
    assert nodes[""]["outboundNodes"] == [ids[".d"]]
    assert nodes[".d"]["displayName"] == "d"
    assert (play.order[0], sorted(play.order[1:3]), play.order[3]) == (".a", [".b", ".c"], ".d")


def test_an_unmet_dependency_omits_the_task() -> None:
    play = Play(workflow(dag(task("a"), task("b", "a.Failed"), task("c", "b.Omitted")), container("work"))).run()
    node = play.nodes[".b"]
    assert (node["type"], node["phase"], node["message"]) == (
        "Skipped",
        "Omitted",
        "omitted: depends condition not met",
    )
    assert play.phases()[".c"] == "Succeeded"
    assert play.phase == "Succeeded"


def test_a_failed_task_fails_the_dag_without_a_message() -> None:
    play = Play(workflow(dag(task("a"), task("b", "a")), container("work"))).run(lambda pod: 1)
    assert play.phases() == {"": "Failed", ".a": "Failed", ".b": "Omitted"}
    assert (play.phase, play.message) == ("Failed", "")


def test_a_loop_in_a_dag_is_a_task_group() -> None:
    looped = task("a", withSequence={"start": "3", "end": "1", "format": "n%02d"})
    play = Play(workflow(dag(looped, task("b", "a.AnySucceeded")), container("work")))
    play.run(
        lambda pod: 0 if "n02" in pod["metadata"]["annotations"][node_names.NODE_NAME] or display(pod) == "b" else 1
    )
    nodes = play.nodes
    assert nodes[".a"]["type"] == "TaskGroup"
    assert nodes[".a"]["phase"] == "Failed"
    assert [n for n in nodes if n.startswith(".a(")] == [".a(0:n03)", ".a(1:n02)", ".a(2:n01)"]
    assert nodes[".b"]["phase"] == "Succeeded"
    assert nodes[".a(0:n03)"]["children"] == [nodes[".b"]["id"]]


def test_only_what_the_targets_need_is_run() -> None:
    play = Play(workflow(dag(task("a"), task("b", "a"), task("c"), target="b"), container("work"))).run()
    assert sorted(play.phases()) == ["", ".a", ".b"]


def test_dependencies_and_continue_on_are_the_older_form() -> None:
    tasks = [task("a", continueOn={"failed": True}), task("b", dependencies=["a"])]
    play = Play(workflow(dag(*tasks), container("work"))).run(lambda pod: display(pod) == "a")
    assert play.phases()[".b"] == "Succeeded"
    assert play.phase == "Succeeded"
