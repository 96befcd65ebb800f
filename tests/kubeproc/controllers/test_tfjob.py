"""TFJobs, with the test as kubelet: names, TF_CONFIG, conditions, policies and limits of training-operator 1.9."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubeproc import ports
from kubeproc.api_errors import ApiError
from kubeproc.controllers import tfjob
from kubeproc.resources import PODS, SERVICES, TFJOBS

from .conftest import IMAGE, Cluster

J = "training.kubeflow.org/"


def replica(count: int | None = None, restart: str = "", **container: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"template": {"spec": {"containers": [{"name": "tensorflow", "image": IMAGE, **container}]}}}
    if count is not None:
        spec["replicas"] = count
    if restart:
        spec["restartPolicy"] = restart
    return spec


def job(name: str = "mnist", run: dict[str, Any] | None = None, **kinds: Any) -> dict[str, Any]:
    extra = {k: kinds.pop(k) for k in ("successPolicy", "enableDynamicWorker") if k in kinds}
    spec = {"tfReplicaSpecs": kinds, **extra} | ({"runPolicy": run} if run else {})
    return {"metadata": {"name": name}, "spec": spec}


def start(cluster: Cluster, body: dict[str, Any]) -> None:
    cluster.create(TFJOBS, body)
    cluster.play_all()


def status(cluster: Cluster, name: str = "mnist") -> dict[str, Any]:
    return cluster.store.get(TFJOBS, "default", name).get("status", {})


def conditions(cluster: Cluster, name: str = "mnist") -> list[tuple[str, str, str]]:
    return [(c["type"], c["status"], c["reason"]) for c in status(cluster, name).get("conditions", [])]


def names(cluster: Cluster) -> list[str]:
    return sorted(p["metadata"]["name"] for p in cluster.pods())


def env(pod: dict[str, Any]) -> dict[str, str]:
    return {e["name"]: e.get("value", "") for e in pod["spec"]["containers"][0].get("env", [])}


DONE = [
    ("Created", "True", "TFJobCreated"),
    ("Running", "False", "TFJobRunning"),
    ("Succeeded", "True", "TFJobSucceeded"),
]


def test_pods_and_services_have_the_operators_names_and_labels(cluster: Cluster) -> None:
    start(cluster, job(Chief=replica(), Worker=replica(2), PS=replica(1)))
    assert names(cluster) == ["mnist-chief-0", "mnist-ps-0", "mnist-worker-0", "mnist-worker-1"]
    chief = cluster.store.get(PODS, "default", "mnist-chief-0")
    assert chief["metadata"]["labels"] == {
        J + "operator-name": "tfjob-controller", J + "job-name": "mnist", J + "replica-type": "chief",
        J + "replica-index": "0", J + "job-role": "master"}  # fmt: skip
    worker = cluster.store.get(PODS, "default", "mnist-worker-0")
    assert J + "job-role" not in worker["metadata"]["labels"]
    assert worker["spec"]["restartPolicy"] == "Never"
    services = cluster.store.list(SERVICES)
    assert [s["metadata"]["name"] for s in services] == names(cluster)
    assert all(s["spec"]["clusterIP"] == "None" for s in services)
    assert services[0]["spec"]["ports"][0] | {"targetPort": 2222} == {
        "name": "tfjob-port", "port": 2222, "protocol": "TCP", "targetPort": 2222}  # fmt: skip
    assert status(cluster)["replicaStatuses"] == {"Chief": {"active": 1}, "PS": {"active": 1}, "Worker": {"active": 2}}
    assert ("Normal", "SuccessfulCreatePod", "Created pod: mnist-chief-0") in cluster.events("mnist")


def test_tf_config_names_the_ports_that_the_replicas_listen_on(cluster: Cluster) -> None:
    start(cluster, job(Chief=replica(), Worker=replica(2), PS=replica(1)))
    pods = {p["metadata"]["name"]: p for p in cluster.pods()}
    config = json.loads(env(pods["mnist-worker-1"])["TF_CONFIG"])
    assert config["task"] == {"type": "worker", "index": 1}
    assert config["environment"] == "cloud"
    for kind, addresses in config["cluster"].items():
        for i, address in enumerate(addresses):
            (port,) = pods[f"mnist-{kind}-{i}"]["spec"]["containers"][0]["ports"]
            assert address == f"127.0.0.1:{port['hostPort']}"
            assert (port["name"], port["containerPort"]) == ("tfjob-port", 2222)
    assert sorted(config["cluster"]) == ["chief", "ps", "worker"]


def test_a_job_of_one_replica_has_no_tf_config(cluster: Cluster) -> None:
    start(cluster, job(Worker=replica(1)))
    (pod,) = cluster.pods()
    assert "TF_CONFIG" not in env(pod)
    assert pod["metadata"]["labels"][J + "job-role"] == "master"


def test_dynamic_workers_get_the_sparse_form(cluster: Cluster) -> None:
    start(cluster, job(Worker=replica(2), PS=replica(1), enableDynamicWorker=True))
    pods = {p["metadata"]["name"]: json.loads(env(p)["TF_CONFIG"]) for p in cluster.pods()}
    worker = pods["mnist-worker-1"]
    assert list(worker["cluster"]["worker"]) == ["1"]
    assert len(worker["cluster"]["ps"]) == 1
    assert "environment" not in worker
    assert pods["mnist-ps-0"]["cluster"]["worker"] == {}


def test_lower_case_types_are_understood_and_nothing_is_defaulted_in_the_spec(cluster: Cluster) -> None:
    start(cluster, job(worker=replica(2), ps=replica()))
    stored = cluster.store.get(TFJOBS, "default", "mnist")
    assert stored["spec"] == job(worker=replica(2), ps=replica())["spec"]
    assert sorted(status(cluster)["replicaStatuses"]) == ["PS", "Worker"]


def test_worker_0_decides_without_a_chief(cluster: Cluster) -> None:
    start(cluster, job(Worker=replica(2), PS=replica(1)))
    cluster.finish("mnist-worker-0")
    assert conditions(cluster) == DONE
    assert status(cluster)["completionTime"]
    assert status(cluster)["replicaStatuses"] == {"PS": {"succeeded": 1}, "Worker": {"succeeded": 2}}
    assert len(cluster.pods()) == 3
    assert ("Normal", "TFJobSucceeded", "TFJob default/mnist successfully completed.") in cluster.events("mnist")


def test_all_workers_must_succeed_when_the_policy_says_so(cluster: Cluster) -> None:
    start(cluster, job(Worker=replica(2), successPolicy="AllWorkers"))
    cluster.finish("mnist-worker-0")
    assert conditions(cluster)[-1][0] == "Running"
    cluster.finish("mnist-worker-1")
    assert conditions(cluster) == DONE


def test_a_chief_alone_decides(cluster: Cluster) -> None:
    start(cluster, job(Chief=replica(), Worker=replica(2)))
    cluster.finish("mnist-worker-0")
    assert conditions(cluster)[-1][:2] == ("Running", "True")
    cluster.finish("mnist-chief-0")
    assert conditions(cluster) == DONE


def test_a_failed_replica_fails_the_job(cluster: Cluster) -> None:
    start(cluster, job(Worker=replica(2), PS=replica()))
    cluster.finish("mnist-ps-0", code=1)
    assert conditions(cluster)[-1] == ("Failed", "True", "TFJobFailed")
    message = status(cluster)["conditions"][-1]["message"]
    assert message == "TFJob default/mnist has failed because 1 PS replica(s) failed."


@pytest.mark.parametrize("restart", ["Never", "OnFailure", "ExitCode"])
def test_deleting_a_running_worker_fails_the_job(cluster: Cluster, restart: str) -> None:
    start(cluster, job(Worker=replica(2, restart)))
    cluster.store.delete(PODS, "default", "mnist-worker-1")
    cluster.settle()
    assert conditions(cluster)[-1] == ("Failed", "True", "TFJobFailed")
    cluster.play_all()
    assert names(cluster) == ["mnist-worker-0"]


def test_a_deleted_service_comes_back(cluster: Cluster) -> None:
    start(cluster, job(Worker=replica(2)))
    cluster.store.delete(SERVICES, "default", "mnist-worker-1")
    cluster.settle()
    assert cluster.store.find(SERVICES, "default", "mnist-worker-1")


def test_exit_code_137_is_restarted_and_leaves_no_restarting_condition(cluster: Cluster) -> None:
    start(cluster, job(Worker=replica(2, "ExitCode")))
    before = cluster.store.get(PODS, "default", "mnist-worker-1")
    assert before["spec"]["restartPolicy"] == "Never"
    cluster.finish("mnist-worker-1", code=137)
    assert (
        "Warning",
        "TFJobRestarting",
        "job mnist is restarting because Worker replica(s) failed.",
    ) in cluster.events("mnist")
    cluster.play_all()
    after = cluster.store.get(PODS, "default", "mnist-worker-1")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert env(after) == env(before)
    assert conditions(cluster)[-1] == ("Running", "True", "TFJobRunning")
    cluster.finish("mnist-worker-0")
    assert conditions(cluster) == DONE


def test_exit_code_1_fails_the_job(cluster: Cluster) -> None:
    start(cluster, job(Worker=replica(2, "ExitCode")))
    cluster.finish("mnist-worker-0", code=1)
    message = status(cluster)["conditions"][-1]["message"]
    assert message == 'job "mnist" is failing because "Worker" replica(s) failed.'
    assert ("Normal", "ExitedWithCode", "Pod: default.mnist-worker-0 exited with code 1") in cluster.events("mnist")


def test_the_back_off_limit_counts_restarts_of_running_pods(cluster: Cluster) -> None:
    start(cluster, job(Worker=replica(1, "OnFailure"), run={"backoffLimit": 2}))
    for restarts in (1, 2):
        assert conditions(cluster)[-1][0] == "Running"
        cluster.set_phase(cluster.pods()[0], "Running", ready=True, restarts=restarts)
        cluster.settle()
    assert conditions(cluster)[-1] == ("Failed", "True", "TFJobFailed")
    words = "Job mnist has failed because it has reached the specified backoff limit"
    assert status(cluster)["conditions"][-1]["message"] == words


def _ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_deadline_fails_the_job_and_deletes_its_pods(cluster: Cluster) -> None:
    start(cluster, job(Worker=replica(2), run={"activeDeadlineSeconds": 60}))
    stored = cluster.store.get(TFJOBS, "default", "mnist")
    assert 50 < (tfjob.reconcile(stored, cluster.store) or 0) <= 61
    stored["status"]["startTime"] = _ago(61)
    cluster.store.update_status(TFJOBS, stored)
    cluster.settle()
    assert conditions(cluster)[1:] == [("Running", "False", "TFJobRunning"), ("Failed", "True", "TFJobFailed")]
    cluster.play_all()
    assert cluster.pods() == []


@pytest.mark.parametrize(("policy", "left"), [
    ("None", ["mnist-ps-0", "mnist-worker-0", "mnist-worker-1"]), ("Running", ["mnist-worker-0"]), ("All", [])])  # fmt: skip
def test_clean_pod_policies(cluster: Cluster, policy: str, left: list[str]) -> None:
    start(cluster, job(Worker=replica(2), PS=replica(), run={"cleanPodPolicy": policy}))
    cluster.finish("mnist-worker-0")
    cluster.play_all()
    assert names(cluster) == left
    assert [s["metadata"]["name"] for s in cluster.store.list(SERVICES)] == left
    assert conditions(cluster) == DONE


def test_a_finished_job_is_deleted_after_its_time_to_live(cluster: Cluster) -> None:
    start(cluster, job(Worker=replica(1), run={"ttlSecondsAfterFinished": 5}))
    cluster.finish("mnist-worker-0")
    stored = cluster.store.get(TFJOBS, "default", "mnist")
    stored["status"]["completionTime"] = _ago(6)
    cluster.store.update_status(TFJOBS, stored)
    cluster.play_all()
    assert cluster.store.find(TFJOBS, "default", "mnist") is None
    assert cluster.pods() == []


def test_suspend_and_resume(cluster: Cluster) -> None:
    start(cluster, job(Worker=replica(2)))
    stored = cluster.store.get(TFJOBS, "default", "mnist")
    stored["spec"]["runPolicy"] = {"suspend": True}
    cluster.store.update(TFJOBS, stored)
    cluster.play_all()
    assert cluster.pods() == []
    assert cluster.store.list(SERVICES) == []
    assert conditions(cluster)[1:] == [("Running", "False", "TFJobSuspended"), ("Suspended", "True", "TFJobSuspended")]
    stored = cluster.store.get(TFJOBS, "default", "mnist")
    stored["spec"]["runPolicy"] = {"suspend": False}
    cluster.store.update(TFJOBS, stored)
    cluster.play_all()
    assert conditions(cluster) == [("Created", "True", "TFJobCreated"), ("Suspended", "False", "TFJobResumed"),
                                   ("Running", "True", "TFJobRunning")]  # fmt: skip
    assert len(cluster.pods()) == 2


def test_scaling_keeps_the_old_pods_and_their_ports(cluster: Cluster) -> None:
    start(cluster, job(Worker=replica(2), PS=replica()))
    before = cluster.store.get(PODS, "default", "mnist-worker-0")
    held = ports.recorded(cluster.store.get(TFJOBS, "default", "mnist"))
    stored = cluster.store.get(TFJOBS, "default", "mnist")
    stored["spec"]["tfReplicaSpecs"]["Worker"]["replicas"] = 3
    cluster.store.update(TFJOBS, stored)
    cluster.play_all()
    assert cluster.store.get(PODS, "default", "mnist-worker-0") == before
    assert ports.recorded(cluster.store.get(TFJOBS, "default", "mnist")).items() > held.items()
    assert len(cluster.pods()) == 4
    stored = cluster.store.get(TFJOBS, "default", "mnist")
    stored["spec"]["tfReplicaSpecs"]["Worker"]["replicas"] = 1
    cluster.store.update(TFJOBS, stored)
    cluster.play_all()
    assert names(cluster) == ["mnist-ps-0", "mnist-worker-0"]
    assert conditions(cluster)[-1][0] == "Running"


def denied(cluster: Cluster, body: dict[str, Any]) -> str:
    with pytest.raises(ApiError) as refused:
        cluster.store.create(TFJOBS, body)
    assert refused.value.code == 403
    prefix = 'admission webhook "validator.tfjob.training-operator.kubeflow.org" denied the request: '
    assert refused.value.message.startswith(prefix)
    return refused.value.message.removeprefix(prefix)


def test_the_webhook_refuses_what_the_operators_does(cluster: Cluster) -> None:
    other = replica()
    other["template"]["spec"]["containers"][0]["name"] = "main"
    path = "spec.tfReplicaSpecs[Worker].template.spec.containers"
    assert denied(cluster, job(Worker=other)) == (
        f"{path}: Required value: must have at least one container with name tensorflow"
    )
    assert denied(cluster, job(Worker=replica(image=""))) == f"{path}[0].image: Required value: must be required"
    assert denied(cluster, job(Chief=replica(), Master=replica())) == (
        "spec.tfReplicaSpecs: Forbidden: must not have more than 1 Chief or Master role"
    )
    assert denied(cluster, job("0abc", Worker=replica())).startswith(
        'metadata.name: Invalid value: "0abc": should match: a DNS-1035 label must consist of'
    )


def test_an_upper_case_name_is_refused_earlier(cluster: Cluster) -> None:
    with pytest.raises(ApiError) as refused:
        cluster.store.create(TFJOBS, job("Mnist", Worker=replica()))
    assert refused.value.code == 422


def test_negative_replicas_are_accepted_and_nothing_comes_of_them(cluster: Cluster) -> None:
    start(cluster, job(Worker=replica(-1)))
    assert cluster.pods() == []
    assert conditions(cluster) == []


def test_gang_scheduling_is_refused(cluster: Cluster) -> None:
    with pytest.raises(ApiError, match="schedulingPolicy: not supported by the embedded cluster"):
        cluster.store.create(TFJOBS, job(Worker=replica(), run={"schedulingPolicy": {"minAvailable": 2}}))
