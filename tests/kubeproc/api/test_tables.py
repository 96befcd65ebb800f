"""Tables: kubectl's columns, and the STATUS that sums a pod up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeproc.api.tables import ages
from kubeproc.api.tables.columns import COLUMNS
from kubeproc.api.tables.tables import to_table
from kubeproc.api_errors import ApiError
from kubeproc.resources import (
    DEPLOYMENTS,
    ENDPOINTS,
    EVENTS,
    JOBS,
    NODES,
    PODS,
    RESOURCES,
    ROLES,
    SERVICES,
    TFJOBS,
    WORKFLOWS,
)


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


def row(resource: Any, obj: dict[str, Any], wide: bool = False) -> dict[str, Any]:
    """The cells by column name, as kubectl shows them."""
    obj.setdefault("metadata", {}).setdefault("name", "x")
    obj["metadata"].setdefault("creationTimestamp", ago(seconds=90))
    table = to_table(resource, [obj])
    shown = [c["name"] for c in table["columnDefinitions"] if wide or c["priority"] == 0]
    return {n: v for n, v in zip([c["name"] for c in table["columnDefinitions"]], table["rows"][0]["cells"], strict=True)
            if n in shown}  # fmt: skip


def pod(*states: dict[str, Any], phase: str = "Running", init: tuple[dict[str, Any], ...] = (), **status: Any) -> Any:
    def statuses(given: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
        return [
            {"name": f"c{n}", "restartCount": 0, "ready": "running" in s} | {"state": s} for n, s in enumerate(given)
        ]

    def containers(given: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
        return [{"name": f"c{n}"} for n in range(len(given))]

    return {
        "kind": "Pod",
        "spec": {"containers": containers(states), "initContainers": containers(init)},
        "status": {"phase": phase, "containerStatuses": statuses(states), "initContainerStatuses": statuses(init)}
        | status,
    }


RUNNING: dict[str, Any] = {"running": {}}
WAITING: dict[str, Any] = {"waiting": {"reason": "PodInitializing"}}


def ended(code: int, reason: str = "", signal: int = 0) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "signal": signal}}


@pytest.mark.parametrize(
    ("given_pod", "ready", "status"),
    [
        (pod(phase="Pending"), "0/0", "Pending"),
        (pod({"waiting": {"reason": "ContainerCreating"}}, phase="Pending"), "0/1", "ContainerCreating"),
        (pod({"waiting": {"reason": "ImagePullBackOff"}}, phase="Pending"), "0/1", "ImagePullBackOff"),
        (pod(RUNNING), "1/1", "Running"),
        (pod(RUNNING, ended(0, "Completed")), "1/2", "NotReady"),
        (pod(RUNNING, ended(0, "Completed"), conditions=[{"type": "Ready", "status": "True"}]), "1/2", "Running"),
        (pod(ended(0, "Completed"), phase="Succeeded"), "0/1", "Completed"),
        (pod(ended(1, "Error"), phase="Failed"), "0/1", "Error"),
        (pod(ended(137, "OOMKilled"), phase="Failed"), "0/1", "OOMKilled"),
        (pod(ended(3), phase="Failed"), "0/1", "ExitCode:3"),
        (pod(ended(137, signal=9), phase="Failed"), "0/1", "Signal:9"),
        (pod({"waiting": {"reason": "CrashLoopBackOff"}}), "0/1", "CrashLoopBackOff"),
        (pod(ended(1, "Error"), RUNNING, phase="Running"), "1/2", "Error"),
        (pod(phase="Failed", reason="Evicted"), "0/0", "Evicted"),
        (pod(WAITING, phase="Pending", init=(RUNNING, WAITING)), "0/1", "Init:0/2"),
        (pod(WAITING, phase="Pending", init=(ended(0, "Completed"), RUNNING)), "0/1", "Init:1/2"),
        (pod(WAITING, phase="Pending", init=(ended(1, "Error"), WAITING)), "0/1", "Init:Error"),
        (pod(WAITING, phase="Pending", init=(ended(2), WAITING)), "0/1", "Init:ExitCode:2"),
        (pod(WAITING, phase="Pending", init=({"waiting": {"reason": "CrashLoopBackOff"}},)), "0/1",
         "Init:CrashLoopBackOff"),
        (pod(WAITING, phase="Pending", init=(ended(0, "Completed"),)), "0/1", "PodInitializing"),
        (pod(phase="Pending", conditions=[{"type": "PodScheduled", "reason": "SchedulingGated"}]), "0/0",
         "SchedulingGated"),
    ],
)  # fmt: skip
def test_a_pods_status_is_the_word_kubectl_shows(given_pod: Any, ready: str, status: str) -> None:
    cells = row(PODS, given_pod)
    assert (cells["Ready"], cells["Status"]) == (ready, status)


def test_a_pod_being_deleted_is_terminating_until_it_has_ended() -> None:
    going = pod(RUNNING) | {"metadata": {"name": "x", "deletionTimestamp": ago()}}
    assert row(PODS, going)["Status"] == "Terminating"
    gone = pod(ended(0, "Completed"), phase="Succeeded") | {"metadata": {"name": "x", "deletionTimestamp": ago()}}
    assert row(PODS, gone)["Status"] == "Completed"


def test_restarts_say_when_the_last_one_was() -> None:
    crashed = pod(RUNNING)
    crashed["status"]["containerStatuses"][0] |= {
        "restartCount": 3,
        "lastState": {"terminated": {"finishedAt": ago(minutes=4)}},
    }
    assert row(PODS, crashed)["Restarts"] in ("3 (4m ago)", "3 (4m1s ago)")


def test_a_sidecar_counts_among_the_containers() -> None:
    served = pod(RUNNING, init=(RUNNING,))
    served["spec"]["initContainers"][0]["restartPolicy"] = "Always"
    served["status"]["initContainerStatuses"][0]["started"] = True
    assert row(PODS, served)["Ready"] == "2/2"


def test_wide_columns_of_a_pod() -> None:
    running = pod(RUNNING, podIPs=[{"ip": "127.0.0.1"}])
    running["spec"]["nodeName"] = "labkit"
    cells = row(PODS, running, wide=True)
    assert [cells[c] for c in ("IP", "Node", "Nominated Node", "Readiness Gates")] == [
        "127.0.0.1",
        "labkit",
        "<none>",
        "<none>",
    ]


def test_a_finished_pods_row_says_so() -> None:
    done = pod(ended(0, "Completed"), phase="Succeeded") | {"metadata": {"name": "x"}}
    assert to_table(PODS, [done])["rows"][0]["conditions"][0]["type"] == "Completed"


def test_deployment_job_and_service() -> None:
    template = {"spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "k"}]}}
    spec = {"replicas": 3, "template": template, "selector": {"matchLabels": {"z": "1", "a": "2"}}}
    cells = row(DEPLOYMENTS, {"spec": spec, "status": {"readyReplicas": 2, "updatedReplicas": 3}}, wide=True)
    assert cells == {"Name": "x", "Ready": "2/3", "Up-to-date": 3, "Available": 0, "Age": "90s", "Containers": "a,b",
                     "Images": "i,k", "Selector": "a=2,z=1"}  # fmt: skip
    job = {
        "spec": {"completions": 2},
        "status": {
            "succeeded": 2,
            "startTime": ago(minutes=5),
            "completionTime": ago(minutes=4),
            "conditions": [{"type": "Complete", "status": "True"}],
        },
    }
    assert row(JOBS, job) == {"Name": "x", "Status": "Complete", "Completions": "2/2", "Duration": "60s", "Age": "90s"}
    ports = [{"port": 80, "nodePort": 30000, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    service = {"spec": {"type": "NodePort", "clusterIPs": ["127.0.0.1"], "selector": {"a": "b"}, "ports": ports}}
    cells = row(SERVICES, service, wide=True)
    assert (cells["Cluster-IP"], cells["External-IP"], cells["Port(s)"], cells["Selector"]) == (
        "127.0.0.1",
        "<none>",
        "80:30000/TCP,53/UDP",
        "a=b",
    )


def test_set_based_selectors_read_as_queries() -> None:
    needs = [
        {"key": "b", "operator": "In", "values": ["y", "x"]},
        {"key": "a", "operator": "DoesNotExist"},
        {"key": "c", "operator": "NotIn", "values": ["z"]},
    ]
    cells = row(JOBS, {"spec": {"selector": {"matchExpressions": needs}}}, wide=True)
    assert cells["Selector"] == "!a,b in (x,y),c notin (z)"


def test_endpoints_beyond_three_are_counted() -> None:
    subsets = [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": p}]} for p in range(1, 6)]
    assert row(ENDPOINTS, {"subsets": subsets})["Endpoints"] == "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3 + 2 more..."
    assert row(ENDPOINTS, {})["Endpoints"] == "<none>"


def test_nodes_and_events() -> None:
    node = {
        "metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}},
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.34.4"}},
    }
    cells = row(NODES, node)
    assert (cells["Status"], cells["Roles"], cells["Version"]) == (
        "Ready,SchedulingDisabled",
        "control-plane",
        "v1.34.4",
    )
    event = {"type": "Normal", "reason": "Pulled", "message": " m\n", "lastTimestamp": ago(seconds=5),
             "involvedObject": {"kind": "Pod", "name": "p"}}  # fmt: skip
    cells = row(EVENTS, event)
    assert cells == {"Last Seen": "5s", "Type": "Normal", "Reason": "Pulled", "Object": "pod/p", "Message": "m"}


def test_custom_resources_show_their_printer_columns() -> None:
    conditions = [{"type": "Created"}, {"type": "Running"}]
    assert row(TFJOBS, {"status": {"conditions": conditions}}) == {"Name": "x", "State": "Running", "Age": "90s"}
    assert row(TFJOBS, {})["State"] is None
    status = {"phase": "Failed", "startedAt": ago(minutes=10), "message": "no"}
    assert row(WORKFLOWS, {"status": status}) == {"Name": "x", "Status": "Failed", "Age": "10m", "Message": "no"}


def test_a_kind_without_columns_shows_when_it_was_created() -> None:
    made = ago(days=1)
    assert row(ROLES, {"metadata": {"creationTimestamp": made}}) == {"Name": "x", "Created At": made}


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda r: r.plural)
def test_an_object_with_nothing_but_a_name_has_a_row(resource: Any) -> None:
    table = to_table(resource, [{"metadata": {"name": "x"}}])
    assert len(table["rows"][0]["cells"]) == len(table["columnDefinitions"])


def test_every_entry_is_of_a_kind_that_exists() -> None:
    assert set(COLUMNS) <= set(RESOURCES)


def test_a_single_object_lends_the_table_its_version() -> None:
    objects = [{"metadata": {"name": n, "resourceVersion": "7"}} for n in ("a", "b")]
    assert to_table(ROLES, objects[:1])["metadata"] == {"resourceVersion": "7"}
    assert to_table(ROLES, objects)["metadata"] == {}
    assert to_table(ROLES, objects[:1], metadata={"resourceVersion": "9"})["metadata"] == {"resourceVersion": "9"}
    assert to_table(ROLES, objects, headers=False)["columnDefinitions"] == []


def test_rows_carry_what_was_asked_for() -> None:
    obj = {"metadata": {"name": "x", "labels": {"a": "b"}}, "data": {"k": "v"}}
    configmaps = RESOURCES["configmaps"]
    assert to_table(configmaps, [obj], "None")["rows"][0]["object"] is None
    assert to_table(configmaps, [obj], "Object")["rows"][0]["object"] == obj
    row = to_table(configmaps, [obj], "")["rows"][0]
    assert row["object"] == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }
    with pytest.raises(ApiError) as refused:
        to_table(configmaps, [obj], "All")
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-2, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (185, "3m5s"), (600, "10m"), (10799, "179m"),
     (10800, "3h"), (3600 * 7 + 1800, "7h30m"), (3600 * 8, "8h"), (3600 * 47, "47h"), (86400 * 2, "2d"),
     (86400 * 2 + 3600 * 5, "2d5h"), (86400 * 8, "8d"), (86400 * 729, "729d"), (86400 * 730, "2y"),
     (86400 * 735, "2y5d"), (86400 * 365 * 8, "8y")],
)  # fmt: skip
def test_durations_are_worded_as_kubectl_words_them(seconds: int, text: str) -> None:
    assert ages.human(seconds) == text


@given(st.integers(0, 10**9))
def test_a_duration_never_overstates_and_loses_little(seconds: int) -> None:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 86400 * 365}
    told = number = 0
    for letter in ages.human(seconds):
        if letter.isdigit():
            number = number * 10 + int(letter)
        else:
            told, number = told + number * units[letter], 0
    assert told <= seconds
    assert seconds - told <= max(1, seconds * 0.13)
