"""The kubelet's pure parts: logs, quantities, expansion, back-off, phases, routes."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeproc import credentials, quantity
from kubeproc.argo.executor import task
from kubeproc.argo.executor.in_kubelet import InKubelet
from kubeproc.folder import ClusterFolder
from kubeproc.kubelet import admission, background, daemon, env, host, kubelet, pod_status, service_proxy, volumes, web
from kubeproc.kubelet.api_client import Refused
from kubeproc.kubelet.backoff import BackOff
from kubeproc.kubelet.failure import Failure
from kubeproc.kubelet.logs import LONGEST, Log, Options, read
from kubeproc.kubelet.pod_worker import Pod
from kubeproc.network.client import dial

HERE = "127.0.0.1"


def text(path, log=None, **options) -> bytes:
    async def collect() -> bytes:
        return b"".join([piece async for piece in read(path, log, Options(**options))])

    return asyncio.run(collect())


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_a_log_gives_back_what_was_fed_in_any_pieces(tmp_path_factory, pieces):
    log = Log(tmp_path_factory.mktemp("log") / "0.log")
    for piece in pieces:
        log.feed("stdout", piece)
    log.close()
    whole = b"".join(pieces)
    assert text(log.path) == whole + (b"\n" if whole and not whole.endswith(b"\n") else b"")


def test_a_long_line_is_cut_in_the_file_and_whole_for_the_reader(tmp_path):
    log = Log(tmp_path / "0.log")
    line = b"x" * (LONGEST * 2 + 5)
    log.feed("stdout", line + b"\nshort\n")
    log.close()
    assert [part.split(b" ")[2] for part in log.path.read_bytes().splitlines()] == [b"P", b"P", b"F", b"F"]
    assert text(log.path) == line + b"\nshort\n"


def test_a_log_keeps_its_newest_lines_within_the_limit(tmp_path):
    log = Log(tmp_path / "0.log", limit=20_000)
    for n in range(2000):
        log.feed("stdout", b"line %d\n" % n)
    log.close()
    assert log.path.stat().st_size <= 20_000
    assert text(log.path).splitlines()[-1] == b"line 1999"


def test_a_follower_sees_every_line_once_while_the_file_is_rewritten(tmp_path):
    async def both() -> bytes:
        log = Log(tmp_path / "0.log", limit=5_000)

        async def write() -> None:
            for n in range(400):
                log.feed("stdout", b"%d\n" % n)
                await asyncio.sleep(0)
            log.close()

        writing = asyncio.create_task(write())
        seen = b"".join([piece async for piece in read(log.path, log, Options(follow=True))])
        await writing
        return seen

    assert asyncio.run(both()).split() == [b"%d" % n for n in range(400)]


def test_a_disk_without_room_costs_a_log_whole_lines_only(tmp_path):
    log = Log(tmp_path / "0.log", limit=5_000)
    log.feed("stdout", b"first\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))  # a write ends there, as on a full disk
        log.feed("stdout", b"y" * 3_000 + b"\nlost as well\n")
        log.feed("stdout", b"small\n")
        log.feed("stdout", b"z" * 6_000 + b"\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log.feed("stdout", b"last\n")
    log.close()
    assert text(log.path) == b"first\nsmall\nlast\n"
    assert list(tmp_path.iterdir()) == [log.path]


def test_a_rotation_that_fails_leaves_the_log_as_it_was(tmp_path):
    log = Log(tmp_path / "0.log", limit=5_000)
    log.feed("stdout", b"a" * 4_800 + b"\n")
    (tmp_path / "0.new").mkdir()  # where the newest half would go
    log.feed("stdout", b"b" * 400 + b"\n")
    (tmp_path / "0.new").rmdir()
    log.feed("stdout", b"last\n")
    log.close()
    assert text(log.path).endswith(b"b" * 400 + b"\nlast\n")


def test_a_pod_that_begins_while_strays_are_removed_keeps_its_folder(tmp_path):
    home = ClusterFolder(tmp_path / "c")
    credentials.prepare(home, 1)
    home.pods.mkdir()
    (home.pods / "stray").mkdir()

    async def synchronise() -> None:
        keeps = kubelet.Kubelet(home, 1, InKubelet())
        keeps.hosts[0]._synchronise([])
        (home.pods / "new").mkdir()
        await asyncio.gather(*keeps.shared.background._tasks)

    asyncio.run(synchronise())
    assert [folder.name for folder in home.pods.iterdir()] == ["new"]


def test_expansion_leaves_unknown_references_and_halves_dollars():
    known = {"A": "1", "B": "$(A)"}
    assert env.expand("$(A) $(B) $(C) $$(A) $$$(A) $A $", known) == "1 $(A) $(C) $(A) $1 $A $"


def test_quantities_are_exact():
    assert quantity.whole("1Gi") == 2**30
    assert quantity.whole("1500m") == 2
    assert quantity.parse("0.5") * 2 == 1
    assert quantity.whole("2e3") == 2000


def test_back_off_begins_at_once_doubles_and_forgets():
    back_off = BackOff()
    assert [back_off.failed() for _ in range(7)] == [0, 10, 20, 40, 80, 160, 300]
    assert back_off.failed(ran=601) == 0


def states(*codes: int | None, kind: str = "main") -> list[pod_status.ContainerState]:
    """Containers that have ended with a code, or run (None)."""
    found = []
    for n, code in enumerate(codes):
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        found.append(pod_status.ContainerState(f"{kind}{n}", "i", kind, state=state))
    return found


def test_phases_follow_the_containers_and_the_policy():
    assert pod_status.phase("Never", states(0, 0)) == "Succeeded"
    assert pod_status.phase("Never", states(0, 1)) == "Failed"
    assert pod_status.phase("Never", states(None, 1)) == "Running"
    assert pod_status.phase("OnFailure", states(0, 1)) == "Running"
    assert pod_status.phase("Always", states(0)) == "Running"
    waiting = [pod_status.ContainerState("m", "i")]
    assert pod_status.phase("Never", waiting) == "Pending"
    assert pod_status.phase("Never", states(1, kind="init") + waiting) == "Failed"
    assert pod_status.phase("OnFailure", states(1, kind="init") + waiting) == "Pending"


def test_a_service_port_leads_to_the_ready_endpoints_of_its_name():
    service = {
        "metadata": {"namespace": "n", "name": "s", "annotations": {"labkit.dev/ports": '{"80": 20031, "81": 20032}'}},
        "spec": {"clusterIP": "127.0.0.1", "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]},
    }
    slices = [
        {
            "metadata": {"namespace": "n", "labels": {"kubernetes.io/service-name": "s"}},
            "ports": [{"name": "a", "port": 20001}],
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": ready}}],
        }
        for ready in (True, False)
    ]
    assert service_proxy.routes([service], slices) == {(HERE, 20031): [(HERE, 20001)], (HERE, 20032): []}
    assert service_proxy.routes([service], slices[1:]) == {(HERE, 20031): [], (HERE, 20032): []}


def test_a_projected_file_is_never_written_outside_of_its_volume(tmp_path):
    item = {"path": "../../outside", "fieldRef": {"fieldPath": "metadata.name"}}
    pod = {"metadata": {"name": "p", "namespace": "default", "uid": "u"}, "spec": {}}
    volume = volumes.Volume("v", tmp_path / "volumes" / "v", "downwardAPI", {"items": [item]})
    with pytest.raises(volumes.NotMounted, match="leads outside"):
        asyncio.run(volumes.write(None, pod, volume))  # type: ignore[arg-type]
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_slice_without_addresses_is_no_endpoint():
    service = {"metadata": {"name": "s", "namespace": "n", "annotations": {"labkit.dev/ports": '{"80": 20001}'}},
               "spec": {"clusterIP": "127.0.0.1", "ports": [{"port": 80}]}}  # fmt: skip
    meta = {"name": "x", "namespace": "n", "labels": {"kubernetes.io/service-name": "s"}}
    by_hand = {"metadata": meta, "endpoints": [{"conditions": {"ready": True}}], "ports": [{"port": 1}]}
    assert service_proxy.routes([service], [by_hand]) == {(HERE, 20001): []}


def test_a_header_that_can_not_be_sent_fails_the_probe():
    with pytest.raises(Failure, match="ascii"):
        asyncio.run(web.status("http://127.0.0.1:1/", "127.0.0.1:1", {"X": "\u00e9\u4e2d"}, 1, dial))


def test_work_that_is_kept_running_starts_again_after_a_failure(monkeypatch, caplog):
    monkeypatch.setattr(background, "AGAIN", 0.0)
    calls = []

    async def work() -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            raise KeyError("surprise")
        await asyncio.Event().wait()

    async def run() -> None:
        task = asyncio.create_task(background.keep_running(work))
        while len(calls) < 2:
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(asyncio.wait_for(run(), 5))
    assert "surprise" in caplog.text


def test_a_server_that_has_not_written_its_pid_yet_gets_no_signal_and_nobody_else_does(tmp_path, monkeypatch):
    folder, signals = ClusterFolder(tmp_path), []
    folder.run.mkdir()
    monkeypatch.setattr(daemon, "STOP", 0.01)
    monkeypatch.setattr(os, "kill", lambda pid, number: signals.append((pid, number)))

    async def stop() -> None:
        await daemon.Server(folder).stop()

    with (folder.run / "server.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        asyncio.run(stop())
    assert signals == []


def test_an_event_from_before_a_pods_end_that_comes_late_starts_nothing(tmp_path):
    folder = ClusterFolder(tmp_path)
    credentials.prepare(folder, 1)

    def seen(version: str, uid: str = "u") -> dict:
        meta = {"name": "p", "namespace": "default", "uid": uid, "resourceVersion": version}
        return {"metadata": meta, "spec": {"containers": [{"name": "main", "image": "busybox"}]}}

    async def begun() -> list[str]:
        keeper = kubelet.Kubelet(folder, 1, InKubelet())
        (node,) = keeper.hosts
        ended = keeper.pods["u"] = Pod(node.shared, node.name, node.allocatable, seen("7"), node.pods)
        node._ended(ended)
        for late in (seen("6"), seen("7"), seen("6", "another")):
            node._see(late)
        started = dict(keeper.pods)
        for pod in started.values():
            pod.task.cancel()
        await asyncio.gather(*(pod.task for pod in started.values()), return_exceptions=True)
        keeper.api.close()
        return list(started)

    assert asyncio.run(begun()) == ["another"]


def test_a_pod_that_outlives_its_machines_power_begins_anew_where_that_is_back(tmp_path, monkeypatch):
    folder = ClusterFolder(tmp_path)
    credentials.prepare(folder, 1)
    folder.pods.mkdir()
    meta = {"name": "p", "namespace": "default", "uid": "u", "resourceVersion": "7"}
    listed = [{"metadata": meta, "spec": {"containers": [{"name": "main", "image": "busybox"}]}}]
    lives = []

    async def run(pod: Pod) -> None:
        lives.append(end := asyncio.Event())
        await end.wait()

    monkeypatch.setattr(host, "LATE", 0)
    monkeypatch.setattr(Pod, "_run", run)

    async def begun() -> None:
        keeper = kubelet.Kubelet(folder, 1, InKubelet())
        (node,) = keeper.hosts
        node._synchronise(listed)
        await asyncio.sleep(0)
        await node.off()
        node._synchronise(listed)  # the power is back
        assert (len(lives), list(keeper.pods)) == (1, ["u"]), "the old one still runs"
        lives[0].set()
        while len(lives) < 2:
            await asyncio.sleep(0)
        await node.off()
        lives[1].set()
        while keeper.pods:
            await asyncio.sleep(0)
        keeper.api.close()

    asyncio.run(asyncio.wait_for(begun(), 5))
    assert len(lives) == 2, "without power nothing begins"


def test_a_machine_that_is_refused_does_not_keep_the_others_from_power(tmp_path, monkeypatch):
    folder, powered = ClusterFolder(tmp_path), []
    credentials.prepare(folder, 1)
    folder.info.write_text('{"nodes": 3}')

    async def on(node: host.Host) -> None:
        if node.name == "labkit-2":
            raise Refused(403, "Forbidden", "labkit-2 may not")
        powered.append(node.name)

    monkeypatch.setattr(host.Host, "on", on)

    async def switch() -> None:
        keeper = kubelet.Kubelet(folder, 1, InKubelet())
        try:
            await keeper.switch()
        finally:
            keeper.api.close()

    with pytest.raises(Refused, match="labkit-2 may not"):
        asyncio.run(switch())
    assert powered == ["labkit", "labkit-3"]


def asks(cpu: str = "0", memory: str = "0", **spec) -> dict:
    return {"spec": {"containers": [{"resources": {"requests": {"cpu": cpu, "memory": memory}}}], **spec}}


def test_a_pod_is_refused_for_the_first_reason_in_kubelets_order():
    node = {"metadata": {"name": "labkit", "labels": {"disk": "hdd"}}, "spec": {}}
    room = {"cpu": "2", "memory": "1Gi", "pods": "3"}

    def why(pod: dict, *others: dict) -> tuple[str, str] | None:
        found = admission.refusal(pod, node, room, others)
        return found and (found.reason, found.message.removeprefix("Pod was rejected: "))

    short = "Node didn't have enough resource: "
    assert why(asks("2", "1Gi")) is None
    assert why(asks("1"), asks("500m"), asks("500m")) is None
    assert why(asks("1"), asks("1500m")) == ("OutOfcpu", f"{short}cpu, requested: 1000, used: 1500, capacity: 2000")
    assert why(asks("3", "1Ki", nodeSelector={"disk": "ssd"}), asks(memory="1Gi")) == (
        "OutOfcpu", f"{short}cpu, requested: 3000, used: 0, capacity: 2000")  # fmt: skip
    assert why(asks(memory="2Gi")) == (
        "OutOfmemory", f"{short}memory, requested: {2 << 30}, used: 0, capacity: {1 << 30}")  # fmt: skip
    assert why(asks("3"), *[asks()] * 3) == ("OutOfpods", f"{short}pods, requested: 1, used: 3, capacity: 3")
    words = "node(s) didn't match Pod's node affinity/selector"
    assert why(asks(nodeSelector={"disk": "ssd"})) == ("NodeAffinity", f"Predicate NodeAffinity failed: {words}")
    node["spec"]["taints"] = [{"key": "a", "effect": "NoSchedule"}]
    assert why(asks()) is None
    node["spec"]["taints"].append({"key": "b", "effect": "NoExecute"})
    assert why(asks())[0] == "TaintToleration"
    assert why(asks(tolerations=[{"key": "b", "operator": "Exists"}])) is None


def test_only_what_the_workflow_controller_made_runs_as_the_executor():
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "w", "uid": "u", "controller": True}
    text = json.dumps({"name": "t", "resource": {"action": "get"}})
    argo = {"name": "main", "env": [{"name": "ARGO_TEMPLATE", "value": text}]}
    made = {"metadata": {"ownerReferences": [owner]}, "spec": {"containers": [argo]}}
    assert task.is_executors(made, "main")
    assert task.is_executors(made, "wait")
    argo["env"][0]["value"] = json.dumps({"name": "t", "container": {"image": "quay.io/argoproj/argoexec:v3.7.9"}})
    assert not task.is_executors(made, "main")
    assert task.is_executors(made, "init")
    for owners in ([], [owner | {"controller": False}], [owner | {"apiVersion": "batch/v1", "kind": "Job"}]):
        assert not task.is_executors(made | {"metadata": {"ownerReferences": owners}}, "wait")
