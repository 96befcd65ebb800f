"""Namespaces, claims and nodes: what they must have, how they end, what a dead kubelet leaves behind."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from kubeproc import controllers, machines
from kubeproc.api_errors import ApiError
from kubeproc.controllers import nodes, podgc
from kubeproc.folder import ClusterFolder
from kubeproc.resources import CLAIMS, CONFIGMAPS, DEPLOYMENTS, NAMESPACES, NODES, PODS, SERVICEACCOUNTS

from .conftest import IMAGE, Cluster


def test_a_namespace_gets_a_service_account_and_the_ca(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("CERTIFICATE")
    (tmp_path / "run").mkdir()
    cluster.controllers = controllers.build(ClusterFolder(tmp_path))
    cluster.create(NAMESPACES, {"metadata": {"name": "team"}})
    assert cluster.store.find(SERVICEACCOUNTS, "team", "default")
    assert cluster.store.get(CONFIGMAPS, "team", "kube-root-ca.crt")["data"] == {"ca.crt": "CERTIFICATE"}
    cluster.store.delete(CONFIGMAPS, "team", "kube-root-ca.crt")
    cluster.settle()
    assert cluster.store.find(CONFIGMAPS, "team", "kube-root-ca.crt")


def test_a_deleted_namespace_empties_itself_first(cluster: Cluster) -> None:
    cluster.create(NAMESPACES, {"metadata": {"name": "team"}})
    pod = {"containers": [{"name": "main", "image": IMAGE}]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod}
    spec = {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    cluster.create(DEPLOYMENTS, {"metadata": {"name": "web", "namespace": "team"}, "spec": spec})
    cluster.play_all()
    cluster.store.delete(NAMESPACES, "", "team")
    cluster.settle()
    team = cluster.store.get(NAMESPACES, "", "team")
    assert team["status"]["phase"] == "Terminating"
    assert cluster.store.count(DEPLOYMENTS, "team") == 0
    assert cluster.store.count(PODS, "team") == 2  # the kubelet still has to end them
    with pytest.raises(ApiError, match="because it is being terminated"):
        cluster.store.create(CONFIGMAPS, {"metadata": {"name": "late", "namespace": "team"}})
    cluster.play_all()
    assert cluster.store.find(NAMESPACES, "", "team") is None


def claim(name: str = "data", **spec: object) -> dict[str, object]:
    base = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": {"name": name}, "spec": {**base, **spec}}


def test_a_claim_is_bound_to_the_default_class(cluster: Cluster) -> None:
    cluster.create(CLAIMS, claim())
    found = cluster.store.get(CLAIMS, "default", "data")
    assert found["spec"]["storageClassName"] == "standard"
    assert found["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}


def test_a_claim_of_an_unknown_class_waits_and_says_why(cluster: Cluster) -> None:
    cluster.create(CLAIMS, claim(storageClassName="fast"))
    assert cluster.store.get(CLAIMS, "default", "data")["status"]["phase"] == "Pending"
    words = 'storageclass.storage.k8s.io "fast" not found'
    assert cluster.events("data")[0] == ("Warning", "ProvisioningFailed", words)


def test_a_claim_in_use_goes_when_its_last_pod_has_ended(cluster: Cluster) -> None:
    cluster.create(CLAIMS, claim())
    cluster.create(PODS, cluster.pod("a", volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]))
    cluster.play_all()
    cluster.store.delete(CLAIMS, "default", "data")
    cluster.settle()
    assert cluster.store.find(CLAIMS, "default", "data")
    cluster.finish("a")
    assert cluster.store.find(CLAIMS, "default", "data") is None


def test_a_claim_s_folder_goes_with_it(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("CERTIFICATE")
    left = tmp_path / "volumes" / ".deleted" / "left-over"
    left.mkdir(parents=True)
    cluster.controllers = controllers.build(ClusterFolder(tmp_path))
    cluster.create(CLAIMS, claim())
    folder = tmp_path / "volumes" / "default" / "data"
    folder.mkdir(parents=True)
    (folder / "model").write_text("weights")
    cluster.store.delete(CLAIMS, "default", "data")
    cluster.settle()
    assert not folder.exists()
    for thread in [t for t in threading.enumerate() if t.name == "removes a claim's folder"]:
        thread.join(10)
    assert list((tmp_path / "volumes" / ".deleted").iterdir()) == []


def test_a_no_execute_taint_drives_out_pods_that_do_not_tolerate_it(cluster: Cluster) -> None:
    cluster.create(PODS, cluster.pod("a"))
    cluster.create(PODS, cluster.pod("b", tolerations=[{"key": "fire", "operator": "Exists"}]))
    cluster.play_all()
    node = cluster.store.get(NODES, "", "labkit")
    node["spec"]["taints"] = [{"key": "fire", "effect": "NoExecute"}]
    cluster.store.update(NODES, node)
    cluster.play_all()
    assert [p["metadata"]["name"] for p in cluster.pods()] == ["b"]
    assert ("Normal", "TaintManagerEviction", "Marking for deletion Pod default/a") in cluster.events("a")


def test_a_pod_that_tolerates_a_taint_for_a_while_goes_after_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(nodes.time, "monotonic", lambda: clock[0])
    node = cluster.store.get(NODES, "", "labkit")
    node["spec"]["taints"] = [{"key": "fire", "effect": "NoExecute"}]
    cluster.store.update(NODES, node)

    def present(after: float) -> list[str]:
        clock[0] += after
        cluster.play_all()
        return [p["metadata"]["name"] for p in cluster.pods()]

    def bears(name: str, **limits: int) -> None:
        tolerations = [{"key": "fire", "operator": "Exists", "effect": "NoExecute", **limits}]
        cluster.create(PODS, cluster.pod(name, tolerations=tolerations))

    bears("early", tolerationSeconds=30)
    bears("for-ever")
    assert present(after=20) == ["early", "for-ever"]
    bears("late", tolerationSeconds=30)
    assert present(after=9) == ["early", "for-ever", "late"]
    assert present(after=1) == ["for-ever", "late"]
    assert present(after=28) == ["for-ever", "late"], "its time began when it came"
    node = cluster.store.get(NODES, "", "labkit")
    del node["spec"]["taints"]
    cluster.store.update(NODES, node)
    assert present(after=2) == ["for-ever", "late"]


def test_a_dead_kubelet_loses_its_pods_and_a_new_one_gets_new_ones(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "ca.crt").write_text("CERTIFICATE")
    cluster.controllers = controllers.build(ClusterFolder(tmp_path))
    lock = tmp_path / "run" / "kubelet.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert nodes.alive(lock)
        cluster.create(PODS, cluster.pod("a"))
        cluster.play_all()
        assert cluster.pods()[0]["status"]["phase"] == "Running"
        cluster.create(PODS, cluster.pod("b"))
        cluster.play_all()
        cluster.store.delete(PODS, "default", "b")
        cluster.settle()
    cluster.settle()
    (lost,) = cluster.pods()
    assert (lost["status"]["phase"], lost["status"]["reason"]) == ("Failed", "NodeLost")
    assert lost["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
    node = cluster.store.get(NODES, "", "labkit")
    assert node["status"]["conditions"][0]["status"] == "Unknown"
    assert {t["effect"] for t in node["spec"]["taints"]} == {"NoSchedule", "NoExecute"}
    cluster.create(PODS, cluster.pod("c"))
    assert "nodeName" not in cluster.store.get(PODS, "default", "c")["spec"]
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        node = cluster.store.get(NODES, "", "labkit")
        node["status"]["conditions"][0] |= {"status": "True", "reason": "KubeletReady"}
        cluster.store.update_status(NODES, node)
        cluster.settle()
        assert cluster.store.get(PODS, "default", "c")["spec"]["nodeName"] == "labkit"
        assert "taints" not in cluster.store.get(NODES, "", "labkit")["spec"]


def test_the_pods_of_a_deleted_node_are_removed_after_a_quarantine(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.add_node("other")
    cluster.create(PODS, cluster.pod("a", nodeName="other"))
    cluster.play_all()
    cluster.store.delete(NODES, "", "other")
    assert (cluster.settle() or 0) <= podgc.QUARANTINE
    assert [p["metadata"]["name"] for p in cluster.pods()] == ["a"], "the node may come back"
    seen = []
    cluster.store.watch(lambda event: seen.append(event.object) if event.resource is PODS else None)
    monkeypatch.setattr(podgc, "QUARANTINE", 0.0)
    cluster.settle()
    assert cluster.pods() == []
    assert seen[0]["status"]["phase"] == "Failed"
    reasons = {c["type"]: (c.get("reason"), c.get("message")) for c in seen[0]["status"]["conditions"]}
    assert reasons["DisruptionTarget"] == ("DeletionByPodGC", "PodGC: node no longer exists")


def test_a_pod_that_a_finalizer_keeps_is_looked_at_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.add_node("other")
    kept = cluster.pod("a", nodeName="other")
    kept["metadata"]["finalizers"] = ["example.com/keep"]
    cluster.create(PODS, kept)
    cluster.store.delete(NODES, "", "other")
    monkeypatch.setattr(podgc, "QUARANTINE", 0.0)
    collector = podgc.controller()
    for _ in range(2):
        assert collector.reconcile(cluster.store.get(PODS, "default", "a"), cluster.store) is None
    assert "deletionTimestamp" in cluster.store.get(PODS, "default", "a")["metadata"]


def test_pods_stay_on_a_silent_node_until_it_is_marked_out_of_service(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "ca.crt").write_text("CERTIFICATE")
    folder = ClusterFolder(tmp_path)
    cluster.controllers = controllers.build(folder)
    with (tmp_path / "run" / "kubelet.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        cluster.add_node("other")
        cluster.create(PODS, cluster.pod("a", nodeName="other"))
        cluster.create(PODS, cluster.pod("b", nodeName="labkit"))
        cluster.play_all()
        machines.switch(folder, "other", on=False)
        cluster.settle()
        lost = cluster.store.get(PODS, "default", "a")
        assert lost["status"]["phase"] == "Running"
        assert ("Warning", "NodeNotReady", "Node is not ready") in cluster.events("a")
        assert not [event for event in cluster.events("b") if event[1] == "NodeNotReady"]
        node = cluster.store.get(NODES, "", "other")
        assert {(c["type"], c["status"]) for c in node["status"]["conditions"]} == {
            (kind, "Unknown") for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")}  # fmt: skip
        cluster.store.delete(PODS, "default", "a")
        cluster.settle()
        assert cluster.store.find(PODS, "default", "a"), "its kubelet has not said that it is gone"
        node = cluster.store.get(NODES, "", "other")
        node["spec"]["taints"].append({"key": podgc.OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute"})
        cluster.store.update(NODES, node)
        assert (cluster.settle() or 0) <= podgc.PERIOD
        assert cluster.store.find(PODS, "default", "a"), "others see that it is Running and being deleted"
        monkeypatch.setattr(podgc, "PERIOD", 0.0)
        cluster.settle()
        assert [p["metadata"]["name"] for p in cluster.pods()] == ["b"]
