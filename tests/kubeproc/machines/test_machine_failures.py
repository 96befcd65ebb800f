"""Machines that fail, on a whole cluster of three nodes: what becomes of them, of their pods, and of the work in them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
import urllib3
from kubernetes import client, watch

from clusters import Kube, container, let_workflows_run, phase, processes_of
from kubeproc import engine, info, machines
from labkit.engines import nodes

from .conftest import HOST, NAMES, UNREACHABLE, Object, node_until

SOON = [{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}]
NEVER = [{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute"}]
KUBECTL = Path(sys.executable).parent / "kubectl"


def ready(obj: Object) -> str:
    return next((c["status"] for c in obj["status"].get("conditions", []) if c["type"] == "Ready"), "")


def deployment(kube: Kube, replicas: int, **spec: Any) -> None:
    template = {"metadata": {"labels": {"app": "web"}},
                "spec": {"terminationGracePeriodSeconds": 0, "tolerations": SOON,
                         "containers": [{"name": "main", "image": "busybox", "command": ["sleep", "1000"]}]} | spec}  # fmt: skip
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}}  # fmt: skip
    client.AppsV1Api(kube.api).create_namespaced_deployment(kube.namespace, body)
    available(kube, replicas)


def available(kube: Kube, replicas: int, seconds: int = 20) -> None:
    apps = client.AppsV1Api(kube.api)
    for event in watch.Watch().stream(apps.list_namespaced_deployment, kube.namespace, timeout_seconds=seconds):
        status = event["object"].status
        if (status.ready_replicas, status.replicas, status.unavailable_replicas) == (replicas, replicas, None):
            return
    raise AssertionError(f"not {replicas} replicas within {seconds} s")


def live(kube: Kube) -> Counter[str]:
    """How many pods run on which node."""
    pods = kube.core.list_namespaced_pod(kube.namespace).items
    return Counter(p.spec.node_name for p in pods if p.status.phase == "Running" and not p.metadata.deletion_timestamp)


def program_of(kube: Kube, name: str) -> psutil.Process:
    record = kube.folder.pods / kube.get(name)["metadata"]["uid"] / "containers" / "main" / "process.json"
    return psutil.Process(int(record.read_text().split(":")[1].split(",")[0]))


def kubectl(kube: Kube, *words: str) -> str:
    environment = os.environ | {"KUBECONFIG": str(kube.folder.kubeconfig)}
    done = subprocess.run([KUBECTL, *words], capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_node_has_its_own_size_lease_and_name(kube: Kube) -> None:
    found = {node.metadata.name: node for node in kube.core.list_node().items}
    assert sorted(found) == NAMES
    leases = client.CoordinationV1Api(kube.api).list_namespaced_lease("kube-node-lease").items
    assert sorted(lease.metadata.name for lease in leases) == NAMES
    for name, node in found.items():
        assert node.metadata.labels[HOST] == name
        for size in (node.status.capacity, node.status.allocatable):
            assert (size["cpu"], size["memory"], size["pods"]) == ("2", "4Gi", "110")
            assert "ephemeral-storage" in size
    assert [n for n in NAMES if "node-role.kubernetes.io/control-plane" in found[n].metadata.labels] == ["labkit"]
    big = {"container": {"resources": {"requests": {"cpu": "3"}}}}
    kube.pod("big", ["true"], **big)
    (words,) = kube.events("big", "FailedScheduling")
    assert words.startswith("0/3 nodes are available: 3 Insufficient cpu. ")


def test_a_machine_s_pods_end_with_it_without_confirmation(kube: Kube) -> None:
    kube.pod("lost", ["sh", "-c", "trap '' TERM; sleep 1000"], nodeSelector={HOST: "labkit-2"}, tolerations=SOON)
    kube.running("lost")
    program = program_of(kube, "lost")
    lease = client.CoordinationV1Api(kube.api).read_namespaced_lease("labkit-2", "kube-node-lease").spec.renew_time
    engine.power(kube.folder, "labkit-2", on=False)
    assert not program.is_running() or program.status() == psutil.STATUS_ZOMBIE
    node = node_until(kube, "labkit-2", lambda n: ready(n) == "Unknown")
    assert {(t["key"], t["effect"]) for t in node["spec"]["taints"]} == {
        (UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}  # fmt: skip
    pod = kube.until("lost", lambda p: ready(p) == "False")
    assert (phase(pod), "running" in container(pod)["state"]) == ("Running", True), "nobody is there to say otherwise"
    assert kube.events("lost", "NodeNotReady") == ["Node is not ready"]
    pod = kube.until("lost", lambda p: p["metadata"].get("deletionTimestamp"))
    assert [c["reason"] for c in pod["status"]["conditions"] if c["type"] == "DisruptionTarget"] == [
        "DeletionByTaintManager"
    ]
    again = client.CoordinationV1Api(kube.api).read_namespaced_lease("labkit-2", "kube-node-lease").spec.renew_time
    assert again == lease
    engine.power(kube.folder, "labkit-2", on=True)
    kube.gone("lost")
    assert ready(node_until(kube, "labkit-2", lambda n: "taints" not in n["spec"])) == "True"
    options = {"field_selector": "involvedObject.name=labkit-2,reason=NodeReady", "timeout_seconds": 5}
    event = next(watch.Watch().stream(kube.core.list_namespaced_event, "default", **options))["object"]
    assert (event.message, event.source.host) == ("Node labkit-2 status is now: NodeReady", "labkit-2")


def test_after_its_machine_is_back_a_pod_runs_again_if_its_policy_says_so(kube: Kube) -> None:
    place = {"nodeSelector": {HOST: "labkit-3"}, "tolerations": NEVER}
    kube.pod("again", ["sleep", "1000"], restartPolicy="Always", **place)
    kube.pod("once", ["sleep", "1000"], **place)
    for name in ("again", "once"):
        kube.running(name)
    engine.power(kube.folder, "labkit-3", on=False)
    node_until(kube, "labkit-3", lambda n: ready(n) == "Unknown")
    engine.power(kube.folder, "labkit-3", on=True)
    pod = kube.until("again", lambda p: container(p)["restartCount"] == 1 and ready(p) == "True")
    assert container(pod)["lastState"]["terminated"]["exitCode"] == 137
    assert container(kube.ended("once"))["state"]["terminated"]["reason"] == "ContainerStatusUnknown"


def test_replicas_come_back_elsewhere_at_once(kube: Kube) -> None:
    deployment(kube, 6, tolerations=[])
    assert live(kube) == dict.fromkeys(NAMES, 2)
    words = str(nodes.stop(engine, kube.folder, "labkit-2"))
    assert words == "node labkit-2 is off: NotReady; 2 pods were lost"
    available(kube, 6)
    assert live(kube) == {"labkit": 3, "labkit-3": 3}
    assert str(nodes.stop(engine, kube.folder, "labkit-2")).endswith("no pods were lost"), "again: the same"
    assert str(nodes.start(engine, kube.folder, "labkit-2")) == "node labkit-2 is on: Ready"
    assert kube.core.read_node("labkit-2").spec.taints is None


def test_replicas_leave_a_silent_machine_when_their_patience_ends(kube: Kube) -> None:
    deployment(kube, 3, terminationGracePeriodSeconds=1)
    engine.power(kube.folder, "labkit-3", on=False)
    node_until(kube, "labkit-3", lambda n: ready(n) == "Unknown")
    for event in watch.Watch().stream(kube.core.list_namespaced_pod, kube.namespace, timeout_seconds=20):
        if event["object"].metadata.deletion_timestamp:
            break
    available(kube, 3)
    assert sum(live(kube).values()) == 3
    assert "labkit-3" not in live(kube)
    terminating = [p for p in kube.core.list_namespaced_pod(kube.namespace).items if p.metadata.deletion_timestamp]
    assert [p.spec.node_name for p in terminating] == ["labkit-3"], (
        "until the machine is back, or somebody vouches for it"
    )


def test_cordon_and_drain_move_the_pods(kube: Kube) -> None:
    deployment(kube, 3)
    kubectl(kube, "cordon", "labkit-2")
    kubectl(kube, "drain", "labkit-3", "--timeout=30s")
    available(kube, 3)
    assert live(kube) == {"labkit": 2, "labkit-2": 1}
    kubectl(kube, "drain", "labkit", "labkit-2", "--timeout=30s")
    pods = kube.core.list_namespaced_pod(kube.namespace).items
    assert [p.spec.node_name for p in pods] == [None] * 3
    words = kube.events(pods[0].metadata.name, "FailedScheduling")[0]
    assert words.startswith("0/3 nodes are available: 3 node(s) were unschedulable. ")
    kubectl(kube, "uncordon", "labkit-2")
    available(kube, 3)
    assert live(kube) == {"labkit-2": 3}


def test_a_claim_stays_on_its_machine_with_what_is_in_it(kube: Kube) -> None:
    resources = {"requests": {"storage": "1Gi"}}
    kube.core.create_namespaced_persistent_volume_claim(
        kube.namespace,
        {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": resources}},
    )
    data = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}],
            "container": {"volumeMounts": [{"name": "d", "mountPath": "/data"}]}}  # fmt: skip
    kube.pod("writes", ["sh", "-c", "echo kept > /data/file"], **data, nodeSelector={HOST: "labkit-3"})
    kube.ended("writes")
    nodes.stop(engine, kube.folder, "labkit-3")
    kube.pod("reads", ["cat", "/data/file"], **data)
    (words,) = kube.events("reads", "FailedScheduling")
    assert words.startswith(
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), "
        "2 node(s) didn't match PersistentVolume's node affinity. "
    )
    nodes.start(engine, kube.folder, "labkit-3")
    kube.ended("reads")
    assert kube.log("reads") == "kept\n"


def test_a_machine_stays_off_whatever_daemon_is_killed_and_up_gives_it_power(kube: Kube) -> None:
    kube.pod("pod", ["sleep", "1000"], nodeSelector={HOST: "labkit-2"}, tolerations=NEVER)
    kube.running("pod")
    engine.power(kube.folder, "labkit-2", on=False)
    kube.until("pod", lambda p: ready(p) == "False")
    server = engine.daemon(kube.folder, "server").pid
    os.kill(server, signal.SIGKILL)
    while engine.daemon(kube.folder, "server").pid in (0, server):
        time.sleep(0.02)
    engine._await_server(kube.folder, info.read(kube.folder)["port"])
    assert ready(kube.api.sanitize_for_serialization(kube.core.read_node("labkit-2"))) == "Unknown"
    kubelet = psutil.Process(engine.daemon(kube.folder, "kubelet").pid)
    kubelet.kill()
    kubelet.wait(10)
    engine._start_kubelet(kube.folder)
    node_until(kube, "labkit-3", lambda n: ready(n) == "True")
    found = engine.status(kube.folder)
    assert (found["state"], found["nodes"]) == ("degraded", dict.fromkeys(NAMES, "running") | {"labkit-2": "stopped"})
    assert ready(kube.api.sanitize_for_serialization(kube.core.read_node("labkit-2"))) == "Unknown"
    assert phase(kube.get("pod")) == "Running"
    engine.up(kube.folder)
    node_until(kube, "labkit-2", lambda n: ready(n) == "True")
    assert engine.status(kube.folder)["state"] == "running"
    assert phase(kube.ended("pod")) == "Failed", "its machine was off, and its policy is Never"


def test_a_switch_whose_setter_was_killed_is_seen_all_the_same(kube: Kube) -> None:
    kube.pod("pod", ["sleep", "1000"], nodeSelector={HOST: "labkit-3"})
    kube.running("pod")
    program = program_of(kube, "pod")
    machines.switch(kube.folder, "labkit-3", on=False)
    program.wait(10)
    node_until(kube, "labkit-3", lambda n: ready(n) == "Unknown")
    machines.switch(kube.folder, "labkit-3", on=True)
    node_until(kube, "labkit-3", lambda n: ready(n) == "True")


def test_a_node_that_was_deleted_while_off_registers_again(kube: Kube) -> None:
    engine.power(kube.folder, "labkit-2", on=False)
    node_until(kube, "labkit-2", lambda n: ready(n) == "Unknown")
    kube.core.delete_node("labkit-2")
    nodes.start(engine, kube.folder, "labkit-2")
    assert ready(kube.api.sanitize_for_serialization(kube.core.read_node("labkit-2"))) == "True"


def test_a_log_of_a_machine_that_is_off_can_not_be_had(kube: Kube) -> None:
    kube.pod("pod", ["sh", "-c", "echo said; sleep 1000"], nodeSelector={HOST: "labkit-2"}, tolerations=NEVER)
    kube.running("pod")
    engine.power(kube.folder, "labkit-2", on=False)
    with pytest.raises(client.ApiException) as refused:
        kube.log("pod")
    assert refused.value.status == 500
    assert "no route to host" in refused.value.body


def test_nor_can_a_workflow_s_log_of_what_ran_on_it(kube: Kube) -> None:
    let_workflows_run(kube.api, kube.namespace)

    def step(name: str, node: str) -> Object:
        script = f"echo {name}; sleep 1000"
        return {"name": name, "container": {"image": "busybox", "command": ["sh", "-c", script]},
                "nodeSelector": {HOST: node}, "tolerations": NEVER}  # fmt: skip

    both = {"name": "both", "steps": [[{"name": name, "template": name} for name in ("here", "there")]]}
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "logs"},
            "spec": {"entrypoint": "both", "templates": [both, step("here", "labkit"), step("there", "labkit-2")]}}  # fmt: skip
    kind = ("argoproj.io", "v1alpha1", kube.namespace, "workflows")
    client.CustomObjectsApi(kube.api).create_namespaced_custom_object(*kind, body)

    def lines() -> list[str]:
        path = f"/api/v1/workflows/{kube.namespace}/logs/log?logOptions.container=main"
        answer = kube.api.call_api(path, "GET", auth_settings=["BearerToken"], _preload_content=False)[0]
        return sorted(json.loads(line)["result"]["content"] for line in answer.data.splitlines())

    deadline = time.monotonic() + 20
    while lines() != ["here", "there"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    engine.power(kube.folder, "labkit-2", on=False)
    assert lines() == ["here"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_the_replicas_recover_from_any_failures_and_kills(kube: Kube, seed: int) -> None:
    """Machines are switched and daemons killed at random; each time six replicas come to run, on machines that have power,
    as just as many programs."""
    chance = random.Random(seed)
    deployment(kube, 6, terminationGracePeriodSeconds=1, containers=[
        {"name": "main", "image": "busybox", "command": ["sleep", str(7000 + seed)]}])  # fmt: skip
    for _ in range(15):
        node, before = chance.choice(NAMES), engine.status(kube.folder)["nodes"]
        act = chance.choice(["stop", "start", "kill the server", "kill the kubelet", "kill both"])
        if act == "stop" and (before[node] == "stopped" or list(before.values()).count("running") > 1):
            nodes.stop(engine, kube.folder, node)
        elif act == "start":
            nodes.start(engine, kube.folder, node)
        for name in {"kill the server": ["server"], "kill the kubelet": ["kubelet"]}.get(act, ["server", "kubelet"]):
            if act.startswith("kill"):
                psutil.Process(engine.daemon(kube.folder, name).pid).kill()
        if act in ("kill the kubelet", "kill both"):
            while engine.daemon(kube.folder, "kubelet").alive:
                time.sleep(0.01)
            engine.up(kube.folder)
            nodes.back(kube.folder)
        settled(kube, f"sleep {7000 + seed}", f"after {act} of {node}")


def settled(kube: Kube, program: str, words: str, replicas: int = 6, seconds: float = 40) -> None:
    """Return when all replicas run, where there is power, and nothing else of them."""
    deadline, seen = time.monotonic() + seconds, ()
    while time.monotonic() < deadline:
        try:
            powered = {name for name, state in engine.status(kube.folder)["nodes"].items() if state == "running"}
            running = live(kube)
            found = sum(" ".join(p.cmdline()) == program for p in processes_of(kube.folder))
        except (urllib3.exceptions.HTTPError, client.ApiException, psutil.Error):
            time.sleep(0.1)
            continue  # the server has been killed and is on its way, or a program is just ending
        seen = (running, found)
        if running.total() == found == replicas and set(running) <= powered:
            return
        time.sleep(0.1)
    raise AssertionError(f"{words}: {seen}")
