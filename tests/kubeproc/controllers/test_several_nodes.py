"""The scheduler with several nodes: where pods go, and kube-scheduler's words where there is no place."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from kubeproc.admission.claim import standard_class
from kubeproc.api_errors import ApiError
from kubeproc.resources import CLAIMS, DEPLOYMENTS, NODES, PODS, SERVICES, STORAGECLASSES

from .conftest import IMAGE, Cluster

NODE_NAMES = ("labkit", "labkit-2", "labkit-3")
UNHELPED = "no new claims to deallocate, preemption: 0/3 nodes are available: "
HOST = "kubernetes.io/hostname"


@pytest.fixture
def three(cluster: Cluster) -> Cluster:
    for name in NODE_NAMES[1:]:
        cluster.add_node(name)
    return cluster


def change_node(cluster: Cluster, name: str, **spec: Any) -> None:
    node = cluster.store.get(NODES, "", name)
    node["spec"] |= spec
    cluster.store.update(NODES, node)
    cluster.settle()


def node_of(cluster: Cluster, name: str) -> str | None:
    return cluster.store.get(PODS, "default", name)["spec"].get("nodeName")


def complaint(cluster: Cluster, name: str) -> str:
    (condition,) = cluster.store.get(PODS, "default", name)["status"]["conditions"]
    return str(condition["message"])


def asking(name: str, **requests: str) -> dict[str, Any]:
    container = {"name": "main", "image": IMAGE, "resources": {"requests": requests}}
    return {"metadata": {"name": name}, "spec": {"containers": [container]}}


def deployment(replicas: int, **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": IMAGE}], **spec}}  # fmt: skip
    selector = {"matchLabels": {"app": "web"}}
    return {"metadata": {"name": "web"}, "spec": {"replicas": replicas, "selector": selector, "template": template}}


def by_node(cluster: Cluster) -> Counter[str]:
    return Counter(p["spec"].get("nodeName", "") for p in cluster.pods())


def test_replicas_are_spread_over_the_nodes(three: Cluster) -> None:
    three.create(DEPLOYMENTS, deployment(6))
    three.play_all()
    assert by_node(three) == dict.fromkeys(NODE_NAMES, 2)


def test_replicas_are_spread_even_where_a_node_is_fuller(three: Cluster) -> None:
    pinned = asking("big", cpu="3", memory="6Gi")
    pinned["spec"]["nodeName"] = "labkit-2"
    three.create(PODS, pinned)
    three.create(DEPLOYMENTS, deployment(3))
    three.play_all()
    replicas = Counter(p["spec"]["nodeName"] for p in three.pods(lambda p: p["metadata"]["name"] != "big"))
    assert replicas == dict.fromkeys(NODE_NAMES, 1)


def test_pods_of_one_service_are_spread_without_an_owner(three: Cluster) -> None:
    spec = {"selector": {"app": "db"}, "ports": [{"port": 80}]}
    three.create(SERVICES, {"metadata": {"name": "db"}, "spec": spec})
    for number in range(3):
        three.create(PODS, three.pod(f"db-{number}", {"app": "db"}))
    assert by_node(three) == dict.fromkeys(NODE_NAMES, 1)


def test_pods_that_ask_for_nothing_do_not_all_go_to_the_first_node(three: Cluster) -> None:
    for number in range(6):
        three.create(PODS, three.pod(f"p{number}"))
    assert by_node(three) == dict.fromkeys(NODE_NAMES, 2)


def test_each_node_says_why_in_one_sentence(three: Cluster) -> None:
    change_node(three, "labkit", unschedulable=True)
    three.create(PODS, asking("big", cpu="5"))
    assert complaint(three, "big") == (
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu. "
        f"{UNHELPED}3 Preemption is not helpful for scheduling.")  # fmt: skip


def test_where_others_would_have_to_go_the_words_are_of_victims(three: Cluster) -> None:
    change_node(three, "labkit", taints=[{"key": "gpu", "effect": "NoSchedule"}])
    for number in range(2):
        three.create(PODS, asking(f"first-{number}", cpu="3"))
    three.create(PODS, asking("next", cpu="2"))
    assert complaint(three, "next") == (
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. "
        f"{UNHELPED}1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod."
    )
    three.finish("first-1")
    assert node_of(three, "next") == "labkit-3"


def test_a_host_port_is_taken_on_every_node_since_they_share_a_host(three: Cluster) -> None:
    for name in ("first", "second"):
        pod = three.pod(name)
        pod["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 8080}]
        three.create(PODS, pod)
    assert complaint(three, "second").startswith(
        "0/3 nodes are available: 3 node(s) didn't have free ports for the requested pod ports. "
    )
    three.finish("first")
    assert node_of(three, "second")


def test_a_preferred_node_and_a_taint_that_is_only_a_wish(three: Cluster) -> None:
    wish = {"weight": 1, "preference": {"matchExpressions": [{"key": HOST, "operator": "In", "values": ["labkit-3"]}]}}
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}}
    three.create(PODS, three.pod("a", affinity=affinity))
    assert node_of(three, "a") == "labkit-3"
    for name in ("labkit", "labkit-3"):
        change_node(three, name, taints=[{"key": "old", "effect": "PreferNoSchedule"}])
    three.create(PODS, three.pod("b"))
    assert node_of(three, "b") == "labkit-2"


APART = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": HOST}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def test_pods_that_want_to_be_apart_are_one_a_node(three: Cluster) -> None:
    three.create(DEPLOYMENTS, deployment(4, affinity={"podAntiAffinity": {REQUIRED: [APART]}}))
    three.play_all()
    assert by_node(three) == {**dict.fromkeys(NODE_NAMES, 1), "": 1}
    (late,) = three.pods(lambda p: "nodeName" not in p["spec"])
    assert complaint(three, late["metadata"]["name"]) == (
        "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules. "
        f"{UNHELPED}3 No preemption victims found for incoming pod."
    )


def test_other_pods_respect_the_anti_affinity_of_a_pod(three: Cluster) -> None:
    for name in NODE_NAMES[1:]:
        change_node(three, name, unschedulable=True)
    loner = {"labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}, "topologyKey": HOST}
    three.create(PODS, three.pod("loner", affinity={"podAntiAffinity": {REQUIRED: [loner]}}))
    three.create(PODS, three.pod("other", {"app": "x"}))
    assert "1 node(s) didn't satisfy existing pods anti-affinity rules" in complaint(three, "other")
    three.create(PODS, three.pod("unnamed"))
    assert node_of(three, "unnamed") == "labkit"


def test_a_pod_with_affinity_waits_for_a_matching_pod_and_joins_it(three: Cluster) -> None:
    three.create(PODS, three.pod("near", affinity={"podAffinity": {REQUIRED: [APART]}}))
    assert complaint(three, "near").startswith("0/3 nodes are available: 3 node(s) didn't match pod affinity rules. ")
    three.create(PODS, three.pod("web", {"app": "web"}, nodeSelector={HOST: "labkit-2"}))
    assert node_of(three, "near") == "labkit-2"


def test_the_first_of_a_group_that_wants_to_be_together_does_not_wait(three: Cluster) -> None:
    three.create(DEPLOYMENTS, deployment(3, affinity={"podAffinity": {REQUIRED: [APART]}}))
    three.play_all()
    assert list(by_node(three).values()) == [3]


def test_company_is_a_pod_that_all_terms_mean(three: Cluster) -> None:
    both = [APART, {"labelSelector": {"matchLabels": {"tier": "back"}}, "topologyKey": HOST}]
    second = {"nodeSelector": {HOST: "labkit-2"}}
    three.create(PODS, three.pod("web", {"app": "web"}, **second))
    three.create(PODS, three.pod("back", {"tier": "back"}, **second))
    three.create(PODS, three.pod("near", affinity={"podAffinity": {REQUIRED: both}}))
    three.create(PODS, three.pod("far", affinity={"podAntiAffinity": {REQUIRED: both}}))
    assert complaint(three, "near").startswith("0/3 nodes are available: 3 node(s) didn't match pod affinity rules. ")
    assert node_of(three, "far") != "labkit-2", "each of its terms counts by itself"
    three.create(PODS, three.pod("all", {"app": "web", "tier": "back"}, nodeSelector={HOST: "labkit-3"}))
    assert node_of(three, "near") == "labkit-3"


def test_a_preference_for_company_counts(three: Cluster) -> None:
    three.create(PODS, three.pod("web", {"app": "web"}, nodeSelector={HOST: "labkit-2"}))
    wish = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": APART}]}
    three.create(PODS, three.pod("near", affinity={"podAffinity": wish}))
    assert node_of(three, "near") == "labkit-2"
    three.create(PODS, three.pod("far", affinity={"podAntiAffinity": wish}))
    assert node_of(three, "far") != "labkit-2"


def test_hard_spreading_leaves_what_would_be_uneven_pending(three: Cluster) -> None:
    change_node(three, "labkit-3", unschedulable=True)
    rule = {"maxSkew": 1, "topologyKey": HOST, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}}}  # fmt: skip
    three.create(DEPLOYMENTS, deployment(3, topologySpreadConstraints=[rule]))
    three.play_all()
    assert by_node(three) == {"labkit": 1, "labkit-2": 1, "": 1}
    (late,) = three.pods(lambda p: "nodeName" not in p["spec"])
    assert complaint(three, late["metadata"]["name"]) == (
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match pod topology spread constraints. "
        f"{UNHELPED}1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod."
    )
    change_node(three, "labkit-3", unschedulable=False)
    assert by_node(three)["labkit-3"] == 1


def test_a_node_without_the_label_takes_no_part_in_hard_spreading(three: Cluster) -> None:
    rule = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    three.create(PODS, three.pod("a", topologySpreadConstraints=[rule]))
    words = "3 node(s) didn't match pod topology spread constraints (missing required label)"
    assert complaint(three, "a").startswith(f"0/3 nodes are available: {words}. ")


def test_soft_spreading_over_zones_counts_what_is_in_each(three: Cluster) -> None:
    for name, zone in (("labkit", "a"), ("labkit-2", "a"), ("labkit-3", "b")):
        node = three.store.get(NODES, "", name)
        node["metadata"]["labels"]["zone"] = zone
        three.store.update(NODES, node)
    rule = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app": "web"}}}  # fmt: skip
    three.create(DEPLOYMENTS, deployment(4, topologySpreadConstraints=[rule]))
    three.play_all()
    assert by_node(three) == {"labkit": 1, "labkit-2": 1, "labkit-3": 2}


def test_with_fewer_domains_than_min_domains_the_minimum_is_zero(three: Cluster) -> None:
    rule = {"maxSkew": 1, "topologyKey": HOST, "whenUnsatisfiable": "DoNotSchedule", "minDomains": 4,
            "labelSelector": {"matchLabels": {"app": "web"}}}  # fmt: skip
    three.create(DEPLOYMENTS, deployment(4, topologySpreadConstraints=[rule]))
    three.play_all()
    assert by_node(three) == {**dict.fromkeys(NODE_NAMES, 1), "": 1}


@pytest.mark.parametrize(("spec", "words"), [
    ({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": HOST, "whenUnsatisfiable": "DoNotSchedule"}]},
     "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero"),
    ({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": HOST, "whenUnsatisfiable": "Never"}]},
     'spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "Never": '
     'supported values: "DoNotSchedule", "ScheduleAnyway"'),
    ({"affinity": {"podAntiAffinity": {REQUIRED: [{"labelSelector": {}}]}}}, "topologyKey: Required value: can not be empty"),
    ({"affinity": {"podAffinity": {REQUIRED: [APART | {"namespaceSelector": {}}]}}},
     f"spec.affinity.podAffinity.{REQUIRED}[0].namespaceSelector"),
])  # fmt: skip
def test_what_is_wrong_with_a_wish_is_said_at_once(cluster: Cluster, spec: dict[str, Any], words: str) -> None:
    with pytest.raises(ApiError) as refused:
        cluster.create(PODS, cluster.pod("a", **spec))
    assert words in refused.value.message


# -- claims -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def local(three: Cluster) -> Cluster:
    """Claims belong to nodes here."""
    three.store.delete(STORAGECLASSES, "", "standard")
    three.store.create(STORAGECLASSES, standard_class(nodes=3))
    return three


def with_claim(cluster: Cluster, name: str, **spec: Any) -> dict[str, Any]:
    volume = {"name": "d", "persistentVolumeClaim": {"claimName": "data"}}
    return cluster.pod(name, volumes=[volume], **spec)


def test_a_claim_waits_for_its_first_pod_and_stays_on_its_node(local: Cluster) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    local.create(CLAIMS, {"metadata": {"name": "data"}, "spec": spec})
    assert local.store.get(CLAIMS, "default", "data")["status"]["phase"] == "Pending"
    words = "waiting for first consumer to be created before binding"
    assert local.events("data") == [("Normal", "WaitForFirstConsumer", words)]
    local.create(PODS, with_claim(local, "first", nodeSelector={HOST: "labkit-2"}))
    claim = local.store.get(CLAIMS, "default", "data")
    assert claim["status"]["phase"] == "Bound"
    assert claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] == "labkit-2"
    for number in range(3):
        local.create(PODS, with_claim(local, f"later-{number}"))
        assert node_of(local, f"later-{number}") == "labkit-2"
    local.create(PODS, with_claim(local, "elsewhere", nodeSelector={HOST: "labkit-3"}))
    assert complaint(local, "elsewhere") == (
        "0/3 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, "
        "2 node(s) didn't match Pod's node affinity/selector. "
        f"{UNHELPED}3 Preemption is not helpful for scheduling."
    )


def test_a_cluster_of_one_node_binds_claims_at_once() -> None:
    assert standard_class()["volumeBindingMode"] == "Immediate"
