"""Deployments and ReplicaSets: rollouts within their bounds, rollback, pause, scaling, deadlines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kubeproc.resources import DEPLOYMENTS, PODS, REPLICASETS

from .conftest import IMAGE, Cluster

LABELS = {"app": "web"}


def deployment(replicas: int = 3, command: str = "a", **spec: Any) -> dict[str, Any]:
    pod = {"containers": [{"name": "main", "image": IMAGE, "command": [command]}]}
    template = {"metadata": {"labels": LABELS}, "spec": pod}
    return {"metadata": {"name": "web"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template, **spec}}  # fmt: skip


def start(cluster: Cluster, body: dict[str, Any]) -> None:
    cluster.create(DEPLOYMENTS, body)
    cluster.play_all()


def get(cluster: Cluster) -> dict[str, Any]:
    return cluster.store.get(DEPLOYMENTS, "default", "web")


def change(cluster: Cluster, command: str = "", **spec: Any) -> None:
    stored = get(cluster)
    if command:
        stored["spec"]["template"]["spec"]["containers"][0]["command"] = [command]
    stored["spec"] |= spec
    cluster.store.update(DEPLOYMENTS, stored)
    cluster.settle()


def commands(cluster: Cluster) -> list[str]:
    return [
        p["spec"]["containers"][0]["command"][0] for p in cluster.pods() if "deletionTimestamp" not in p["metadata"]
    ]


def conditions(cluster: Cluster) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in get(cluster)["status"]["conditions"]}


def test_a_deployment_becomes_available(cluster: Cluster) -> None:
    cluster.create(DEPLOYMENTS, deployment())
    assert conditions(cluster)["Available"] == ("False", "MinimumReplicasUnavailable")
    cluster.play_all()
    assert conditions(cluster) == {"Available": ("True", "MinimumReplicasAvailable"),
                                   "Progressing": ("True", "NewReplicaSetAvailable")}  # fmt: skip
    status = get(cluster)["status"]
    assert (status["replicas"], status["readyReplicas"], status["updatedReplicas"]) == (3, 3, 3)
    assert status["observedGeneration"] == get(cluster)["metadata"]["generation"]
    assert get(cluster)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    (rs,) = cluster.store.list(REPLICASETS)
    digest = rs["metadata"]["labels"]["pod-template-hash"]
    assert rs["metadata"]["name"] == f"web-{digest}"
    assert rs["spec"]["selector"]["matchLabels"] == {**LABELS, "pod-template-hash": digest}
    name = rs["metadata"]["name"]
    assert ("Normal", "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to 3") in cluster.events("web")


def test_a_change_rolls_out_and_back(cluster: Cluster) -> None:
    start(cluster, deployment())
    change(cluster, "b")
    cluster.play_all()
    assert commands(cluster) == ["b"] * 3
    old, new = sorted(cluster.store.list(REPLICASETS), key=lambda r: r["spec"]["replicas"])
    assert (old["spec"]["replicas"], new["spec"]["replicas"]) == (0, 3)
    change(cluster, "a")  # what `kubectl rollout undo` does
    cluster.play_all()
    assert commands(cluster) == ["a"] * 3
    revisions = {r["metadata"]["uid"]: r["metadata"]["annotations"] for r in cluster.store.list(REPLICASETS)}
    assert revisions[old["metadata"]["uid"]]["deployment.kubernetes.io/revision"] == "3"
    assert revisions[old["metadata"]["uid"]]["deployment.kubernetes.io/revision-history"] == "1"
    assert get(cluster)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


def test_recreate_ends_all_old_pods_first(cluster: Cluster) -> None:
    start(cluster, deployment(strategy={"type": "Recreate"}))
    change(cluster, "b")
    assert commands(cluster) == []
    assert len(cluster.pods()) == 3
    cluster.play_all()
    assert commands(cluster) == ["b"] * 3


def test_a_paused_deployment_scales_but_does_not_roll(cluster: Cluster) -> None:
    start(cluster, deployment())
    change(cluster, "b", paused=True, replicas=4)
    cluster.play_all()
    assert commands(cluster) == ["a"] * 4
    assert conditions(cluster)["Progressing"] == ("Unknown", "DeploymentPaused")
    change(cluster, paused=False)
    cluster.play_all()
    assert commands(cluster) == ["b"] * 4
    assert conditions(cluster)["Progressing"] == ("True", "NewReplicaSetAvailable")


def test_scaling_to_zero_and_back(cluster: Cluster) -> None:
    start(cluster, deployment())
    for replicas in (0, 5):
        change(cluster, replicas=replicas)
        cluster.play_all()
        assert len(commands(cluster)) == replicas
        assert get(cluster)["status"].get("availableReplicas", 0) == replicas


def test_a_deleted_pod_is_replaced(cluster: Cluster) -> None:
    start(cluster, deployment())
    cluster.store.delete(PODS, "default", cluster.pods()[0]["metadata"]["name"])
    cluster.play_all()
    assert len(commands(cluster)) == 3
    assert get(cluster)["status"]["availableReplicas"] == 3


def test_no_progress_within_the_deadline_is_reported(cluster: Cluster) -> None:
    start(cluster, deployment(progressDeadlineSeconds=60))
    change(cluster, "b")
    while cluster.play(ready=False):
        pass
    assert conditions(cluster)["Progressing"][0] == "True"
    stored = get(cluster)
    for condition in stored["status"]["conditions"]:
        condition["lastUpdateTime"] = (datetime.now(UTC) - timedelta(seconds=61)).strftime("%Y-%m-%dT%H:%M:%SZ")
    cluster.store.update_status(DEPLOYMENTS, stored)
    cluster.settle()
    assert conditions(cluster)["Progressing"] == ("False", "ProgressDeadlineExceeded")
    assert commands(cluster).count("a") == 3


def test_old_replica_sets_beyond_the_history_are_deleted(cluster: Cluster) -> None:
    start(cluster, deployment(revisionHistoryLimit=1))
    for command in "bcd":
        change(cluster, command)
        cluster.play_all()
    revisions = [
        r["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for r in cluster.store.list(REPLICASETS)
    ]
    assert sorted(revisions) == ["3", "4"]


def test_min_ready_seconds_delays_availability(cluster: Cluster) -> None:
    start(cluster, deployment(1, minReadySeconds=30))
    assert get(cluster)["status"].get("availableReplicas", 0) == 0
    assert get(cluster)["status"]["readyReplicas"] == 1
    since = (datetime.now(UTC) - timedelta(seconds=31)).strftime("%Y-%m-%dT%H:%M:%SZ")
    cluster.set_phase(cluster.pods()[0], "Running", ready=True, since=since)
    cluster.settle()
    assert get(cluster)["status"]["availableReplicas"] == 1


def test_deleting_a_deployment_takes_everything_along_and_orphaning_does_not(cluster: Cluster) -> None:
    start(cluster, deployment())
    cluster.store.delete(DEPLOYMENTS, "default", "web", policy="Orphan")
    cluster.play_all()
    assert len(cluster.store.list(REPLICASETS)) == 1
    start(cluster, deployment())
    assert len(cluster.store.list(REPLICASETS)) == 1  # adopted
    cluster.store.delete(DEPLOYMENTS, "default", "web", policy="Foreground")
    cluster.play_all()
    assert cluster.store.find(DEPLOYMENTS, "default", "web") is None
    assert cluster.store.list(REPLICASETS) == []
    assert cluster.pods() == []


limits = st.integers(0, 4) | st.integers(0, 100).map(lambda n: f"{n}%")


def _number(value: int | str, total: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    share = int(value.rstrip("%")) * total
    return -(-share // 100) if up else share // 100


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), limits, limits, st.data())
def test_a_rollout_stays_within_its_bounds(
    replicas: int, surge: int | str, lacking: int | str, data: st.DataObject
) -> None:
    if _number(surge, 100, up=True) == 0 and _number(lacking, 100, up=False) == 0:
        surge = 1
    cluster = Cluster()
    if data.draw(st.booleans()):
        cluster.controllers.reverse()  # Deployments before ReplicaSets: they see statuses of before the last change
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": lacking}}
    start(cluster, deployment(replicas, strategy=rolling))
    most = replicas + _number(surge, replicas, up=True)
    least = replicas - min(replicas, _number(lacking, replicas, up=False) or (0 if most > replicas else 1))
    change(cluster, "b")
    for _ in range(200):
        alive = [p for p in cluster.pods() if "deletionTimestamp" not in p["metadata"]]
        ready = sum(
            c["type"] == "Ready" and c["status"] == "True" for p in alive for c in p["status"].get("conditions", [])
        )
        assert ready >= least
        assert len(alive) <= most
        waiting = [p for p in alive if p["status"]["phase"] == "Pending" and p["spec"].get("nodeName")]
        going = [p for p in cluster.pods() if "deletionTimestamp" in p["metadata"]]
        if not waiting and not going:
            break
        pod = data.draw(st.sampled_from(waiting + going))
        if pod in waiting:
            cluster.set_phase(pod, "Running", ready=True)
        else:
            cluster.store.delete(PODS, "default", pod["metadata"]["name"], grace=0)
        cluster.settle()
    assert commands(cluster) == ["b"] * replicas
