"""scale, rollout, wait, delete and drain; logs, exec, cp and attach."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from kubectl_client import SECONDS, Kubectl, configmap, deployment, pod, table


def test_scale_and_rollouts(kubectl: Kubectl) -> None:
    kubectl.apply(deployment())
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", f"--timeout={SECONDS}s")
    kubectl("scale", "deployment/web", "--replicas=2")
    kubectl("rollout", "status", "deployment/web", f"--timeout={SECONDS}s")
    assert table(kubectl("get", "deployment", "web"))[0]["READY"] == "2/2"
    kubectl("set", "image", "deployment/web", "main=bash")
    kubectl("rollout", "status", "deployment/web", f"--timeout={SECONDS}s")
    history = kubectl("rollout", "history", "deployment/web")
    assert re.findall(r"^(\d+) ", history, re.M) == ["1", "2"]
    assert "busybox" in kubectl("rollout", "history", "deployment/web", "--revision=1")
    assert kubectl("rollout", "undo", "deployment/web") == "deployment.apps/web rolled back\n"
    kubectl("rollout", "status", "deployment/web", f"--timeout={SECONDS}s")
    images = kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    assert images == "busybox"
    kubectl("rollout", "restart", "deployment/web")
    kubectl("rollout", "status", "deployment/web", f"--timeout={SECONDS}s")
    assert "restartedAt" in json.dumps(kubectl.json("deployment", "web")["spec"]["template"]["metadata"]["annotations"])
    kubectl("rollout", "pause", "deployment/web")
    kubectl("rollout", "resume", "deployment/web")


def test_wait_for_conditions_values_and_deletion(kubectl: Kubectl) -> None:
    kubectl("create", "job", "j", "--image=busybox", "--", "true")
    assert (
        kubectl("wait", "--for=condition=complete", "job/j", f"--timeout={SECONDS}s") == "job.batch/j condition met\n"
    )
    assert table(kubectl("get", "jobs"))[0]["STATUS"] == "Complete"
    kubectl.apply(pod("p"))
    kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/p", f"--timeout={SECONDS}s")
    waiting = kubectl.started("wait", "--for=delete", "pod/p", f"--timeout={SECONDS}s")
    kubectl("delete", "pod", "p")
    assert waiting.wait(SECONDS) == 0
    waiting.communicate()
    late = kubectl.run("wait", "--for=condition=Failed", "job/j", "--timeout=1s")
    assert "timed out waiting for the condition" in late.err


def test_delete_takes_the_owned_along(kubectl: Kubectl) -> None:
    kubectl.apply(deployment(replicas=2))
    kubectl("rollout", "status", "deployment/web", f"--timeout={SECONDS}s")
    assert "deleted" in kubectl("delete", "deployment", "web", "--cascade=foreground")
    assert kubectl("get", "pods,rs", "-o", "name") == ""
    kubectl.apply(configmap("a"), configmap("b"))
    kubectl("label", "cm", "a", "b", "x=y")
    assert kubectl("delete", "cm", "-l", "x=y").count("deleted") == 2
    kubectl("delete", "cm", "--all")
    assert kubectl.run("delete", "cm", "gone").code == 1
    assert kubectl("delete", "cm", "gone", "--ignore-not-found") == ""


def test_a_namespace_goes_with_all_that_is_in_it(cluster: Kubectl) -> None:
    cluster("create", "namespace", "going")
    inner = Kubectl(cluster.environment, "going")
    inner.apply(configmap("c"), pod("p"))
    cluster("delete", "namespace", "going")
    assert cluster.run("get", "namespace", "going").code == 1
    assert inner("get", "cm,pods", "-o", "name") == ""


def test_drain_evicts_and_uncordon_brings_back(kubectl: Kubectl) -> None:
    kubectl.apply(pod("drained"))
    kubectl("wait", "--for=condition=Ready", "pod/drained", f"--timeout={SECONDS}s")
    try:
        text = kubectl("drain", "labkit", "--force", "--pod-selector=app=drained", f"--timeout={SECONDS}s")
        assert "pod/drained evicted\n" in text
        assert kubectl.run("get", "pod", "drained").code == 1
        assert table(kubectl("get", "nodes"))[0]["STATUS"] == "Ready,SchedulingDisabled"
    finally:
        kubectl("uncordon", "labkit")
    assert table(kubectl("get", "nodes"))[0]["STATUS"] == "Ready"


def test_logs_of_a_pod(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", "echo one; echo two >&2; echo three"))
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/p", f"--timeout={SECONDS}s")
    assert sorted(kubectl("logs", "p").split()) == ["one", "three", "two"]
    assert kubectl("logs", "p", "--tail=1") in ("three\n", "two\n")  # two pipes have no order
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z \w+\n", kubectl("logs", "p", "--timestamps"))
    assert kubectl("logs", "p", "--limit-bytes=2") in ("on", "tw")
    assert kubectl("logs", "-l", "app=p", "--prefix").startswith("[pod/p/main] ")
    refused = kubectl.run("logs", "p", "--previous")
    assert refused.err.strip().endswith('previous terminated container "main" in pod "p" not found')
    assert "container no is not valid for pod p" in kubectl.run("logs", "p", "-c", "no").err


def test_logs_follow_until_the_end(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", "for i in 1 2 3; do echo $i; sleep 0.2; done"))
    kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/p", f"--timeout={SECONDS}s")
    assert kubectl("logs", "-f", "p") == "1\n2\n3\n"


def test_logs_of_a_job_and_of_two_containers(kubectl: Kubectl) -> None:
    kubectl("create", "job", "j", "--image=busybox", "--", "echo", "done")
    kubectl("wait", "--for=condition=complete", "job/j", f"--timeout={SECONDS}s")
    assert kubectl("logs", "job/j") == "done\n"
    two = pod("two", "echo a")
    two["spec"]["containers"].append({"name": "b", "image": "busybox", "command": ["echo", "b"]})
    kubectl.apply(two)
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/two", f"--timeout={SECONDS}s")
    assert kubectl("logs", "two", "-c", "b") == "b\n"
    assert sorted(kubectl("logs", "two", "--all-containers").split()) == ["a", "b"]


def test_logs_before_there_are_any(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", containers=[{"name": "main", "image": "no/such:image"}]))
    kubectl("wait", "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff", "pod/p",
            f"--timeout={SECONDS}s")  # fmt: skip
    words = 'container "main" in pod "p" is waiting to start: trying and failing to pull image'
    assert kubectl.run("logs", "p").err == f"Error from server (BadRequest): {words}\n"
    assert table(kubectl("get", "pods"))[0]["STATUS"] in ("ImagePullBackOff", "ErrImagePull")  # it goes on trying


def test_exec_runs_a_program_in_the_container(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p"))
    kubectl("wait", "--for=condition=Ready", "pod/p", f"--timeout={SECONDS}s")
    result = kubectl.run("exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (result.code, result.out, result.err) == (3, "out\n", "err\ncommand terminated with exit code 3\n")
    assert kubectl("exec", "-i", "p", "--", "cat", stdin="x" * 100_000) == "x" * 100_000
    assert kubectl("exec", "-i", "p", "--", "wc", "-c", stdin="").strip() == "0"
    assert len(kubectl("exec", "p", "--", "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' a")) == 3_000_000
    assert "executable file not found" in kubectl.run("exec", "p", "--", "no-such-program").err
    assert "container no is not valid for pod p" in kubectl.run("exec", "p", "-c", "no", "--", "true").err


def test_cp_copies_files_both_ways(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.apply(pod("p"))
    kubectl("wait", "--for=condition=Ready", "pod/p", f"--timeout={SECONDS}s")
    content = os.urandom(300_000)
    (tmp_path / "there").write_bytes(content)
    kubectl("cp", str(tmp_path / "there"), "p:/tmp/here")
    kubectl("cp", "p:/tmp/here", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content
    kubectl("exec", "p", "--", "sh", "-c", "mkdir -p /tmp/d/e; echo x > /tmp/d/e/f")
    kubectl("cp", "p:/tmp/d", str(tmp_path / "folder"))
    assert (tmp_path / "folder" / "e" / "f").read_text() == "x\n"


def test_attach_shows_what_a_program_prints(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", "while [ ! -e /tmp/stop ]; do echo tick; sleep 0.1; done"))
    kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/p", f"--timeout={SECONDS}s")
    attached = kubectl.started("attach", "p")
    assert attached.stdout
    assert attached.stdout.readline() == "tick\n"
    kubectl("exec", "p", "--", "touch", "/tmp/stop")
    attached.communicate(timeout=SECONDS)
    assert attached.returncode == 0


def test_a_brief_program_is_heard_once(kubectl: Kubectl) -> None:
    for i in range(6):
        options = ("--rm", "-i", "--image=busybox", "--quiet", f"--restart={('Never', 'Always')[i % 2]}")
        assert kubectl("run", f"brief-{i}", *options, "--", "echo", "hi") == "hi\n"


def test_what_is_attached_to_is_heard_whole_and_given_what_it_reads(kubectl: Kubectl) -> None:
    options = ("--rm", "-i", "--restart=Never", "--image=busybox", "--quiet")
    assert kubectl("run", "cat", *options, "--", "cat", stdin="from afar\n") == "from afar\n"
    script = "read first; sleep 1; echo $first; echo last"
    assert kubectl("run", "late", *options, "--", "sh", "-c", script, stdin="first\n") == "first\nlast\n"


def test_a_late_attach_after_reading_the_log_gets_the_end(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", "echo hi", restartPolicy="Always"))
    waits = "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff"
    kubectl("wait", "pod/p", waits, "--timeout=20s")
    assert 'container not found ("main")' in kubectl.run("attach", "p").err, "the log has not been read"
    assert kubectl("logs", "p") == "hi\n"
    assert kubectl("attach", "p") == "", "all of it has been read"
    assert kubectl.run("attach", "p").code != 0
