"""The scheduler: which node a pod gets, and what it says when there is none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from kubeproc.controllers import loop, scheduler
from kubeproc.resources import CLAIMS, NODES, PODS
from kubeproc.store import Event

from .conftest import IMAGE, Cluster

HELPLESS = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."


def asking(name: str, **requests: str) -> dict[str, Any]:
    container = {"name": "main", "image": IMAGE, "resources": {"requests": requests}}
    return {"metadata": {"name": name}, "spec": {"containers": [container]}}


def node_of(cluster: Cluster, name: str) -> str | None:
    return cluster.store.get(PODS, "default", name)["spec"].get("nodeName")


def complaint(cluster: Cluster, name: str) -> str:
    (event,) = [e for e in cluster.events(name) if e[1] == "FailedScheduling"]
    (condition,) = cluster.store.get(PODS, "default", name)["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "Unschedulable")
    assert condition["message"] == event[2]
    return event[2]


def test_a_pod_is_bound_and_says_so(cluster: Cluster) -> None:
    cluster.create(PODS, cluster.pod("a"))
    assert node_of(cluster, "a") == "labkit"
    assert cluster.events("a") == [("Normal", "Scheduled", "Successfully assigned default/a to labkit")]


def test_a_pod_waits_for_cpu_until_another_ends(cluster: Cluster) -> None:
    cluster.create(PODS, asking("big", cpu="3"))
    cluster.create(PODS, asking("next", cpu="2", memory="1Gi"))
    assert node_of(cluster, "next") is None
    assert complaint(cluster, "next") == (
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: "
        "1 No preemption victims found for incoming pod.")  # fmt: skip
    cluster.finish("big")
    assert node_of(cluster, "next") == "labkit"


def tried(cluster: Cluster, change: Callable[[], object]) -> list[str]:
    """The pods that the scheduler looks at because of what `change` does."""
    found: list[str] = []

    def hear(event: Event) -> None:
        found.extend(item[2] for item in scheduler.CONTROLLER.concerned(event, cluster.store))

    stop = cluster.store.watch(hear)
    change()
    stop()
    return found


def test_of_pods_that_ask_the_same_one_is_tried_when_there_is_room(cluster: Cluster) -> None:
    cluster.create(PODS, asking("big", cpu="3"))
    for n in range(30):
        cluster.store.create(PODS, asking(f"same-{n:02}", cpu="2"))
    cluster.create(PODS, asking("huge", cpu="64"))
    pod = cluster.store.get(PODS, "default", "big")
    assert tried(cluster, lambda: cluster.set_phase(pod, "Succeeded")) == ["big", "same-00", "huge"]

    def bind(name: str) -> None:
        cluster.store.modify(PODS, "default", name, lambda p: p["spec"].__setitem__("nodeName", "labkit"))

    assert tried(cluster, lambda: bind("same-00")) == ["same-00", "same-01"]
    assert tried(cluster, lambda: cluster.store.delete(PODS, "default", "same-01")) == []
    assert tried(cluster, lambda: bind("same-02")) == ["same-02", "same-03"]


def test_a_pod_that_is_being_deleted_keeps_no_other_from_its_turn(cluster: Cluster) -> None:
    cluster.create(PODS, asking("big", cpu="3"))
    held = asking("same-0", cpu="2")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    cluster.store.create(PODS, held)
    cluster.store.create(PODS, asking("same-1", cpu="2"))
    cluster.store.delete(PODS, "default", "same-0")
    pod = cluster.store.get(PODS, "default", "big")
    assert tried(cluster, lambda: cluster.set_phase(pod, "Succeeded")) == ["big", "same-1"]


def test_every_pod_gets_its_turn_without_waiting_for_another_look(cluster: Cluster) -> None:
    names = [f"{kind}-{n}" for n in range(12) for kind in ("one", "two")]
    for name in names:
        cluster.store.create(PODS, asking(name, cpu="1" if name.startswith("one") else "2"))

    async def go() -> None:
        controlling = asyncio.create_task(loop.run(cluster.controllers, cluster.store))
        ended: set[str] = set()
        async with asyncio.timeout(20):  # less than the scheduler's RETRY
            while len(ended) < len(names):
                for pod in cluster.pods(lambda p: bool(p["spec"].get("nodeName"))):
                    if (name := pod["metadata"]["name"]) not in ended:
                        ended.add(name)
                        cluster.set_phase(pod, "Succeeded")
                await asyncio.sleep(0.005)
        controlling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await controlling

    asyncio.run(go())


def test_what_no_eviction_can_help_is_said_so(cluster: Cluster) -> None:
    cluster.create(PODS, asking("huge", cpu="64", memory="1Ti"))
    assert complaint(cluster, "huge").startswith("0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. ")
    assert complaint(cluster, "huge").endswith(HELPLESS)


@pytest.mark.parametrize(("spec", "words"), [
    ({"nodeSelector": {"disk": "ssd"}}, "node(s) didn't match Pod's node affinity/selector"),
    ({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]}}}},
     "node(s) didn't match Pod's node affinity/selector"),
])  # fmt: skip
def test_selectors_and_affinity_filter_nodes(cluster: Cluster, spec: dict[str, Any], words: str) -> None:
    cluster.create(PODS, cluster.pod("a", **spec))
    assert complaint(cluster, "a").startswith(f"0/1 nodes are available: 1 {words}. ")
    node = cluster.store.get(NODES, "", "labkit")
    node["metadata"]["labels"]["disk"] = "ssd"
    cluster.store.update(NODES, node)
    cluster.settle()
    assert node_of(cluster, "a") == "labkit"


def test_nodes_that_are_not_named_are_out_from_the_start(cluster: Cluster) -> None:
    cluster.add_node("other")
    node = cluster.store.get(NODES, "", "labkit")
    node["spec"] = {"unschedulable": True}
    cluster.store.update(NODES, node)

    def by_name(*names: str) -> dict[str, Any]:
        terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": list(names)}]}]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        return {"affinity": {"nodeAffinity": required}}

    cluster.create(PODS, cluster.pod("lost", **by_name("nobody")))
    plugin = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
    assert complaint(cluster, "lost").startswith(f"0/2 nodes are available: 2 {plugin}. ")
    cluster.create(PODS, cluster.pod("cordoned", **by_name("labkit")))
    words = f"0/2 nodes are available: 1 {plugin}, 1 node(s) were unschedulable. "
    assert complaint(cluster, "cordoned").startswith(words)
    cluster.create(PODS, cluster.pod("well", **by_name("nobody", "other")))
    assert node_of(cluster, "well") == "other"


def test_a_cordoned_node_takes_no_new_pods(cluster: Cluster) -> None:
    node = cluster.store.get(NODES, "", "labkit")
    node["spec"]["unschedulable"] = True
    cluster.store.update(NODES, node)
    cluster.create(PODS, cluster.pod("a"))
    assert complaint(cluster, "a").startswith("0/1 nodes are available: 1 node(s) were unschedulable. ")
    node = cluster.store.get(NODES, "", "labkit")
    assert node["spec"]["taints"] == [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]
    node["spec"].pop("unschedulable")
    cluster.store.update(NODES, node)
    cluster.settle()
    assert node_of(cluster, "a") == "labkit"
    assert "taints" not in cluster.store.get(NODES, "", "labkit")["spec"]


def test_taints_and_tolerations(cluster: Cluster) -> None:
    node = cluster.store.get(NODES, "", "labkit")
    node["spec"]["taints"] = [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]
    cluster.store.update(NODES, node)
    cluster.create(PODS, cluster.pod("a"))
    assert complaint(cluster, "a").startswith("0/1 nodes are available: 1 node(s) had untolerated taint(s). ")
    tolerations = [{"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}]
    cluster.create(PODS, cluster.pod("b", tolerations=tolerations))
    assert node_of(cluster, "b") == "labkit"


def test_a_pod_waits_for_its_claim(cluster: Cluster) -> None:
    volume = {"name": "d", "persistentVolumeClaim": {"claimName": "data"}}
    cluster.create(PODS, cluster.pod("a", volumes=[volume]))
    assert complaint(cluster, "a").startswith('0/1 nodes are available: persistentvolumeclaim "data" not found. ')
    resources = {"requests": {"storage": "1Gi"}}
    cluster.create(
        CLAIMS, {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": resources}}
    )
    assert node_of(cluster, "a") == "labkit"


def test_the_emptier_node_is_taken(cluster: Cluster) -> None:
    cluster.create(PODS, asking("first", cpu="2"))
    cluster.add_node("other")
    cluster.create(PODS, asking("second", cpu="1"))
    assert node_of(cluster, "second") == "other"


def test_another_scheduler_s_pods_and_gated_pods_are_left_alone(cluster: Cluster) -> None:
    cluster.create(PODS, cluster.pod("a", schedulerName="volcano"))
    cluster.create(PODS, cluster.pod("b", schedulingGates=[{"name": "wait"}]))
    assert node_of(cluster, "a") is None
    assert cluster.store.get(PODS, "default", "b")["status"]["conditions"][0]["reason"] == "SchedulingGated"


def test_without_nodes_the_words_are_upstreams(cluster: Cluster) -> None:
    cluster.store.delete(NODES, "", "labkit")
    cluster.create(PODS, cluster.pod("a"))
    assert complaint(cluster, "a") == "no nodes available to schedule pods"
