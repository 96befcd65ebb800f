"""Events: counted when they repeat, named like upstream's, bounded in age and number."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from kubeproc.controllers import events, retention
from kubeproc.resources import EVENTS, NAMESPACES, PODS

from .conftest import Cluster


def test_the_same_event_again_raises_its_count(cluster: Cluster) -> None:
    pod = cluster.store.create(PODS, cluster.pod("a"))
    for _ in range(3):
        events.record(cluster.store, pod, events.NORMAL, "Pulled", "done", component="kubelet", host="labkit")
    (event,) = cluster.store.list(EVENTS)
    assert event["count"] == 3
    assert re.fullmatch(r"a\.[0-9a-f]{15,17}", event["metadata"]["name"])
    assert event["involvedObject"]["uid"] == pod["metadata"]["uid"]
    assert event["source"] == {"component": "kubelet", "host": "labkit"}
    events.record(cluster.store, pod, events.NORMAL, "Pulled", "other", component="kubelet")
    assert len(cluster.store.list(EVENTS)) == 2


def test_a_deleted_event_is_recorded_again(cluster: Cluster) -> None:
    pod = cluster.store.create(PODS, cluster.pod("a"))
    events.record(cluster.store, pod, events.NORMAL, "Pulled", "done")
    cluster.store.delete(EVENTS, "default", cluster.store.list(EVENTS)[0]["metadata"]["name"])
    events.record(cluster.store, pod, events.NORMAL, "Pulled", "done")
    assert [e["count"] for e in cluster.store.list(EVENTS)] == [1]


def test_an_event_of_a_vanishing_namespace_is_dropped(cluster: Cluster) -> None:
    cluster.store.create(NAMESPACES, {"metadata": {"name": "team"}})
    body = cluster.pod("a")
    body["metadata"]["namespace"] = "team"
    pod = cluster.store.create(PODS, body)
    cluster.store.delete(NAMESPACES, "", "team")
    events.record(cluster.store, pod, events.NORMAL, "Pulled", "done")
    assert cluster.store.list(EVENTS) == []


def test_events_expire_after_an_hour(cluster: Cluster) -> None:
    pod = cluster.store.create(PODS, cluster.pod("a"))
    events.record(cluster.store, pod, events.NORMAL, "Pulled", "done")
    (event,) = cluster.store.list(EVENTS)
    assert 3590 < (retention.expire(event, cluster.store) or 0) <= 3601
    event["lastTimestamp"] = (datetime.now(UTC) - timedelta(seconds=3601)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert retention.expire(event, cluster.store) is None
    assert cluster.store.list(EVENTS) == []


def test_only_so_many_events_and_finished_pods_are_kept(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MAXIMUM", 2)
    monkeypatch.setattr(retention, "FINISHED_PODS", 1)
    for name in "abc":
        pod = cluster.store.create(PODS, cluster.pod(name))
        cluster.set_phase(pod, "Succeeded" if name != "c" else "Running")
        events.record(cluster.store, pod, events.NORMAL, "Pulled", "done")
    retention.trim(cluster.store.get(NAMESPACES, "", "default"), cluster.store)
    assert len(cluster.store.list(EVENTS)) == 2
    assert [p["metadata"]["name"] for p in cluster.pods()] == ["b", "c"]
