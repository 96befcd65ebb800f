"""Endpoints and EndpointSlices: ready pods by their host ports."""

from __future__ import annotations

import re
from typing import Any

from kubeproc.names import ALPHABET
from kubeproc.resources import ENDPOINTS, ENDPOINTSLICES, PODS, SERVICES

from .conftest import Cluster

LABELS = {"app": "web"}


def serve(cluster: Cluster, name: str = "web", **spec: Any) -> None:
    base = {"selector": LABELS, "ports": [{"port": 80, "targetPort": "http"}]}
    cluster.create(SERVICES, {"metadata": {"name": name}, "spec": base | spec})


def backend(cluster: Cluster, name: str) -> int:
    """A pod that serves port 8080 as `http`; its host port."""
    body = cluster.pod(name, LABELS)
    body["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": 8080}]
    made = cluster.create(PODS, body)
    return made["spec"]["containers"][0]["ports"][0]["hostPort"]


def subsets(cluster: Cluster, name: str = "web") -> list[tuple[str, int]]:
    found = cluster.store.get(ENDPOINTS, "default", name).get("subsets", [])
    return sorted(
        (kind, s["ports"][0]["port"]) for s in found for kind in ("addresses", "notReadyAddresses") if kind in s
    )


def test_ready_pods_are_addresses_and_others_are_not(cluster: Cluster) -> None:
    serve(cluster)
    a, b = backend(cluster, "a"), backend(cluster, "b")
    assert subsets(cluster) == []
    cluster.set_phase(cluster.store.get(PODS, "default", "a"), "Running", ready=True)
    cluster.set_phase(cluster.store.get(PODS, "default", "b"), "Running", ready=False)
    cluster.settle()
    assert subsets(cluster) == [("addresses", a), ("notReadyAddresses", b)]
    slices = cluster.store.list(ENDPOINTSLICES)
    assert all(re.fullmatch(f"web-[{ALPHABET}]{{5}}", s["metadata"]["name"]) for s in slices)
    assert {(s["ports"][0]["port"], s["endpoints"][0]["conditions"]["ready"]) for s in slices} == {
        (a, True),
        (b, False),
    }
    assert all(s["metadata"]["labels"]["kubernetes.io/service-name"] == "web" for s in slices)


def test_pods_that_end_or_go_are_dropped(cluster: Cluster) -> None:
    serve(cluster)
    backend(cluster, "a"), backend(cluster, "b")
    cluster.play_all()
    cluster.finish("a")
    cluster.store.delete(PODS, "default", "b")
    cluster.settle()
    assert subsets(cluster) == []
    (slice_,) = cluster.store.list(ENDPOINTSLICES)  # b is terminating, and said so
    assert slice_["endpoints"][0]["conditions"] == {"ready": False, "serving": True, "terminating": True}
    cluster.play_all()
    assert cluster.store.list(ENDPOINTSLICES) == []


def test_a_number_is_mapped_and_an_undeclared_one_is_used_unchanged(cluster: Cluster) -> None:
    serve(cluster, ports=[{"port": 80, "targetPort": 8080}])
    serve(cluster, "raw", ports=[{"port": 9999}])
    port = backend(cluster, "a")
    cluster.play_all()
    assert subsets(cluster) == [("addresses", port)]
    assert subsets(cluster, "raw") == [("addresses", 9999)]


def test_addresses_that_are_not_ready_can_be_published(cluster: Cluster) -> None:
    serve(cluster, publishNotReadyAddresses=True)
    port = backend(cluster, "a")
    cluster.play(ready=False)
    assert subsets(cluster) == [("addresses", port)]


def test_a_deleted_service_takes_its_endpoints_along(cluster: Cluster) -> None:
    serve(cluster)
    backend(cluster, "a")
    cluster.play_all()
    cluster.store.delete(SERVICES, "default", "web")
    cluster.settle()
    assert cluster.store.find(ENDPOINTS, "default", "web") is None
    assert cluster.store.list(ENDPOINTSLICES) == []


def test_a_changed_label_moves_a_pod_out(cluster: Cluster) -> None:
    serve(cluster)
    backend(cluster, "a")
    cluster.play_all()
    pod = cluster.store.get(PODS, "default", "a")
    pod["metadata"]["labels"] = {"app": "other"}
    cluster.store.update(PODS, pod)
    cluster.settle()
    assert subsets(cluster) == []


def test_a_headless_service_has_endpoints_and_no_proxy_port(cluster: Cluster) -> None:
    serve(cluster, clusterIP="None")
    port = backend(cluster, "a")
    cluster.play_all()
    assert subsets(cluster) == [("addresses", port)]
    assert "annotations" not in cluster.store.get(SERVICES, "default", "web")["metadata"]
