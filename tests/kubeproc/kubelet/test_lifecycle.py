"""Pods from their start to their end."""

from __future__ import annotations

import os
import time

import psutil
import pytest
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from clusters import Kube, container, phase, processes_of
from kubeproc import engine


def terminated(pod, name="main"):
    return container(pod, name)["state"]["terminated"]


def test_a_shell_pod_runs_to_completion(kube: Kube):
    kube.pod("p", ["sh", "-c", "echo one; echo two >&2"])
    pod = kube.ended("p")
    assert phase(pod) == "Succeeded"
    assert terminated(pod)["reason"] == "Completed"
    assert sorted(kube.log("p").split()) == ["one", "two"]
    conditions = {c["type"]: c for c in pod["status"]["conditions"]}
    assert conditions["Ready"]["reason"] == "PodCompleted"
    assert conditions["PodScheduled"]["status"] == "True"


def test_a_python_pod_runs_to_completion(kube: Kube):
    kube.pod("p", ["python", "-c", "print('six')"], image="python:3.11")
    assert phase(kube.ended("p", 60)) == "Succeeded"
    assert kube.log("p") == "six\n"


def test_an_exit_code_is_told(kube: Kube):
    kube.pod("p", ["sh", "-c", "exit 3"])
    pod = kube.ended("p")
    assert phase(pod) == "Failed"
    assert (terminated(pod)["exitCode"], terminated(pod)["reason"]) == (3, "Error")


def test_a_running_pod_is_ready_and_has_its_addresses(kube: Kube):
    kube.pod("p", ["sleep", "60"])
    pod = kube.running("p")
    assert pod["status"]["hostIP"] == "127.0.0.1"
    address = pod["status"]["podIP"]
    assert address.startswith("10.244.") if kube.own_network else address == "127.0.0.1"
    assert pod["status"]["qosClass"] == "BestEffort"
    state = container(pod)
    assert (state["ready"], state["started"], state["restartCount"]) == (True, True, 0)
    assert {c["type"]: c["status"] for c in pod["status"]["conditions"]} == dict.fromkeys(
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"], "True"
    )
    for reason in ("Pulled", "Created", "Started"):
        assert kube.events("p", reason)


def test_a_program_that_is_not_there_is_a_start_error(kube: Kube):
    kube.pod("p", ["no-such-program"])
    pod = kube.ended("p")
    assert (terminated(pod)["exitCode"], terminated(pod)["reason"]) == (128, "StartError")
    assert "no-such-program" in terminated(pod)["message"]


def test_an_unknown_image_waits_in_image_pull_back_off(kube: Kube):
    kube.pod("p", ["true"], image="nginx:1.27")
    pod = kube.until("p", lambda p: container(p)["state"].get("waiting", {}).get("reason") == "ImagePullBackOff")
    assert phase(pod) == "Pending"
    assert "labkit/lab:1" in container(pod)["state"]["waiting"]["message"]
    assert kube.events("p", "Failed")
    kube.core.delete_namespaced_pod("p", kube.namespace)
    kube.gone("p")


def test_a_failed_container_starts_again_at_once_then_backs_off(kube: Kube):
    kube.pod("p", ["sh", "-c", "echo again; exit 1"], restartPolicy="OnFailure")
    pod = kube.until("p", lambda p: container(p)["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff")
    state = container(pod)
    assert state["restartCount"] == 1
    assert state["lastState"]["terminated"]["exitCode"] == 1
    assert state["state"]["waiting"]["message"].startswith("back-off 10s restarting failed container=main pod=p_")
    assert kube.log("p", previous=True) == "again\n"


def test_a_container_that_always_restarts_runs_again_after_success(kube: Kube):
    kube.pod("p", ["sh", "-c", "[ -e /data/once ] && sleep 60; touch /data/once"], restartPolicy="Always",
             volumes=[{"name": "data", "emptyDir": {}}],
             container={"volumeMounts": [{"name": "data", "mountPath": "/data"}]})  # fmt: skip
    pod = kube.until("p", lambda p: container(p)["restartCount"] == 1 and "running" in container(p)["state"])
    assert container(pod)["lastState"]["terminated"]["reason"] == "Completed"


def test_init_containers_run_one_after_the_other_before_the_others(kube: Kube):
    volume = {"volumeMounts": [{"name": "d", "mountPath": "/d"}]}
    steps = [
        {"name": n, "image": "busybox", "command": ["sh", "-c", f"sleep 0.1; echo {n} >> /d/f"], **volume} for n in "ab"
    ]
    kube.pod("p", ["cat", "/d/f"], initContainers=steps, volumes=[{"name": "d", "emptyDir": {}}], container=volume)
    pod = kube.ended("p")
    assert phase(pod) == "Succeeded"
    assert kube.log("p") == "a\nb\n"
    assert [s["ready"] for s in pod["status"]["initContainerStatuses"]] == [True, True]


def test_a_failed_init_container_fails_a_pod_that_never_restarts(kube: Kube):
    kube.pod("p", ["true"], initContainers=[{"name": "i", "image": "busybox", "command": ["false"]}])
    pod = kube.ended("p")
    assert phase(pod) == "Failed"
    assert container(pod)["state"]["waiting"]["reason"] == "PodInitializing"


def test_a_sidecar_runs_beside_and_ends_after_the_others(kube: Kube):
    side = {"name": "s", "image": "busybox", "restartPolicy": "Always", "command": ["sleep", "60"]}
    kube.pod("p", ["sh", "-c", "sleep 0.2"], initContainers=[side])
    pod = kube.ended("p")
    assert phase(pod) == "Succeeded"
    assert "terminated" in container(pod, "s")["state"]


def test_a_pod_past_its_deadline_fails(kube: Kube):
    kube.pod("p", ["sleep", "60"], activeDeadlineSeconds=2)
    pod = kube.ended("p")
    assert (phase(pod), pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")
    assert terminated(pod)["exitCode"] in (137, 143)


def test_a_deleted_pod_gets_term_and_its_hook_first(kube: Kube):
    program = "trap 'echo term; exit 0' TERM; echo up; while true; do sleep 0.05; done"
    kube.pod(
        "p", ["sh", "-c", program], terminationGracePeriodSeconds=10,
        volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}],
        container={
            "volumeMounts": [{"name": "d", "mountPath": "/d"}],
            "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "echo hook > /d/hook"]}}},
        },
    )  # fmt: skip
    claim = {"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"],
             "resources": {"requests": {"storage": "1Mi"}}}}  # fmt: skip
    kube.core.create_namespaced_persistent_volume_claim(kube.namespace, claim)
    kube.running("p")
    while "up" not in kube.log("p"):
        time.sleep(0.02)
    began = time.monotonic()
    kube.core.delete_namespaced_pod("p", kube.namespace)
    kube.gone("p")
    assert time.monotonic() - began < 5
    assert (kube.folder.volumes / kube.namespace / "c" / "hook").read_text() == "hook\n"


def test_a_pod_that_is_deleted_while_its_program_is_being_started_goes(kube: Kube):
    parents = [p for p in processes_of(kube.folder) if "kubeproc.warm" in p.cmdline()]
    try:
        for parent in parents:
            parent.suspend()
        kube.pod("p", ["sleep", "60"])
        assert kube.events("p", "Created")  # from now on it waits for a process
        kube.core.delete_namespaced_pod("p", kube.namespace)
        kube.until("p", lambda pod: pod["metadata"].get("deletionTimestamp"))
    finally:
        for parent in parents:
            parent.resume()
    kube.gone("p")


def test_a_program_that_ignores_term_is_killed_after_the_grace_period(kube: Kube):
    kube.pod("p", ["sh", "-c", "trap '' TERM; while true; do sleep 0.05; done"], terminationGracePeriodSeconds=1)
    kube.running("p")
    began = time.monotonic()
    kube.core.delete_namespaced_pod("p", kube.namespace)
    kube.gone("p")
    assert 0.8 < time.monotonic() - began < 5


def test_a_termination_message_is_shown(kube: Kube):
    kube.pod("p", ["sh", "-c", "echo gone wrong > /dev/termination-log; exit 1"])
    kube.pod("q", ["sh", "-c", "echo from the log; exit 1"],
             container={"terminationMessagePolicy": "FallbackToLogsOnError"})  # fmt: skip
    assert terminated(kube.ended("p"))["message"] == "gone wrong\n"
    assert terminated(kube.ended("q"))["message"] == "from the log\n"


def test_a_hook_that_fails_after_the_start_ends_the_container(kube: Kube):
    hook = {"postStart": {"exec": {"command": ["false"]}}}
    kube.pod("p", ["sleep", "60"], container={"lifecycle": hook})
    assert phase(kube.ended("p")) == "Failed"
    assert kube.events("p", "FailedPostStartHook")


def test_memory_beyond_the_limit_is_oom_killed(kube: Kube):
    program = "import time; x = bytearray(120_000_000); x[::4096] = b'x' * len(x[::4096]); time.sleep(60)"
    kube.pod("p", ["python", "-c", program], image="python:3.11",
             container={"resources": {"limits": {"memory": "100Mi"}}, "env": [{"name": "PYTHONHASHSEED", "value": "1"}]},
             )  # fmt: skip
    state = terminated(kube.ended("p", 30))
    assert (state["exitCode"], state["reason"]) == (137, "OOMKilled")


def test_an_empty_dir_beyond_its_limit_evicts_the_pod(kube: Kube):
    kube.pod("p", ["sh", "-c", "head -c 3000000 /dev/urandom > /d/f; sleep 60"],
             volumes=[{"name": "d", "emptyDir": {"sizeLimit": "1Mi"}}],
             container={"volumeMounts": [{"name": "d", "mountPath": "/d"}]})  # fmt: skip
    pod = kube.ended("p")
    assert (phase(pod), pod["status"]["reason"]) == ("Failed", "Evicted")
    assert pod["status"]["message"] == 'Usage of EmptyDir volume "d" exceeds the limit "1Mi". '


def test_a_finished_pod_leaves_no_folder_when_it_is_deleted(kube: Kube):
    uid = kube.pod("p", ["true"])["metadata"]["uid"]
    kube.ended("p")
    folder = kube.folder.pods / uid
    assert folder.exists()
    kube.core.delete_namespaced_pod("p", kube.namespace)
    kube.gone("p")
    deadline = time.monotonic() + 5
    while folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with pytest.raises(ApiException, match="404"):
        kube.get("p")


def test_an_ended_container_leaves_no_descriptor_whoever_still_holds_its_output(kube: Kube):
    daemon = psutil.Process(engine.daemon(kube.folder, "kubelet").pid)

    def run(names: list[str]) -> int:
        """Descriptors of the kubelet after pods whose programs leave one behind."""
        for name in names:
            kube.pod(name, ["sh", "-c", "setsid sleep 20 & exit 0"], container={"stdin": True})
        for name in names:
            kube.ended(name)
        return daemon.num_fds()

    before = run([f"first-{n}" for n in range(8)])
    assert run([f"second-{n}" for n in range(8)]) < before + 8


def test_the_node_renews_its_lease(home):
    api = client.CoordinationV1Api(config.new_client_from_config(str(home.kubeconfig)))
    assert api.read_namespaced_lease("labkit", "kube-node-lease").spec.holder_identity == "labkit"


def set_image(kube: Kube, name: str, image: str) -> None:
    kube.core.patch_namespaced_pod(name, kube.namespace, {"spec": {"containers": [{"name": "main", "image": image}]}})


@pytest.mark.parametrize("policy", ["Always", "Never"])
def test_a_new_image_restarts_the_container(kube: Kube, policy: str):
    kube.pod("p", ["sh", "-c", "echo begun; sleep 60"], restartPolicy=policy)
    before = container(kube.running("p"))
    set_image(kube, "p", "alpine:3.20")
    after = container(kube.until("p", lambda p: container(p)["restartCount"] and "running" in container(p)["state"]))
    assert after["restartCount"] == 1
    assert after["image"] == "docker.io/library/alpine:3.20"
    assert after["lastState"]["terminated"]["containerID"] == before["containerID"]
    assert kube.events("p", "Killing") == ["Container main definition changed, will be restarted"]
    set_image(kube, "p", "nginx")
    pod = kube.until("p", lambda p: "waiting" in container(p)["state"] and
                     container(p)["state"]["waiting"]["reason"] == "ImagePullBackOff")  # fmt: skip
    assert (phase(pod), container(pod)["restartCount"]) == ("Running", 1)
    assert "terminated" in container(pod)["lastState"]
    set_image(kube, "p", "busybox")
    kube.until("p", lambda p: container(p)["restartCount"] == 2 and "running" in container(p)["state"], 5)
    assert phase(kube.get("p")) == "Running"


def test_a_wrong_image_that_is_put_right_is_not_waited_for(kube: Kube):
    kube.pod("p", ["sleep", "60"], "buzybox")
    kube.until("p", lambda p: container(p).get("state", {}).get("waiting", {}).get("reason") == "ImagePullBackOff")
    set_image(kube, "p", "busybox")
    assert container(kube.running("p", 5))["restartCount"] == 0


def test_a_container_that_must_not_be_root_isnt(kube: Kube):
    kube.pod("p", ["true"], securityContext={"runAsNonRoot": True})
    kube.pod(
        "q", ["true"], securityContext={"runAsNonRoot": True}, container={"securityContext": {"runAsNonRoot": False}}
    )
    assert phase(kube.ended("q")) == "Succeeded"
    if os.getuid():
        assert phase(kube.ended("p")) == "Succeeded"
        return
    pod = kube.until("p", lambda p: container(p)["state"].get("waiting", {}).get("message"))
    where = f'(pod: "p_{kube.namespace}({pod["metadata"]["uid"]})", container: main)'
    message = f"container has runAsNonRoot and image will run as root {where}"
    assert container(pod)["state"]["waiting"] == {"reason": "CreateContainerConfigError", "message": message}


def test_the_executors_image_is_no_program_for_others(kube: Kube):
    kube.pod("p", ["argoexec", "resource", "get"], "quay.io/argoproj/argoexec:v3.7.9")
    pod = kube.until(
        "p", lambda p: container(p).get("state", {}).get("waiting", {}).get("reason") == "ImagePullBackOff"
    )
    assert "labkit up --engine kind" in container(pod)["state"]["waiting"]["message"]


def test_a_pod_that_chooses_its_node_is_checked_there(kube: Kube):
    where = {"nodeName": "labkit", "tolerations": [{"operator": "Exists"}]}
    kube.pod("fits", ["true"], **where)
    kube.pod("large", ["true"], container={"resources": {"requests": {"cpu": "5000"}}}, **where)
    kube.pod("other", ["true"], nodeSelector={"disk": "ssd"}, **where)
    assert phase(kube.ended("fits")) == "Succeeded"
    pod = kube.ended("large")
    assert (phase(pod), pod["status"]["reason"]) == ("Failed", "OutOfcpu")
    words = "Pod was rejected: Node didn't have enough resource: cpu, requested: 5000000, used: "
    assert pod["status"]["message"].startswith(words)
    assert "containerStatuses" not in pod["status"]
    assert kube.events("large", "OutOfcpu") == [pod["status"]["message"].removeprefix("Pod was rejected: ")]
    pod = kube.ended("other")
    assert (phase(pod), pod["status"]["reason"]) == ("Failed", "NodeAffinity")
    for name in ("fits", "large", "other"):
        kube.core.delete_namespaced_pod(name, kube.namespace)
        kube.gone(name)
