"""What a check says of a pod: how far it came, and why not further."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit import checks, client
from labkit.checks import pods

POD = """
apiVersion: v1
kind: Pod
metadata: {name: odd}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: busybox, command: [echo, hello]}
"""

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("connected")]


def verdict(text: str, **expected: object) -> checks.CheckFailed:
    checks.create(text, "Pod")
    with pytest.raises(checks.CheckFailed) as caught:
        checks.pod("odd", **expected)  # type: ignore[arg-type]
    assert caught.value.hint, "every diagnosis says where to look"
    return caught.value


def shell(script: str) -> str:
    return POD.replace("[echo, hello]", f"[sh, -c, '{script}']")


def test_a_right_pod_passes_and_is_returned() -> None:
    checks.create(POD + "  - {name: second, image: busybox, command: [echo, world]}\n", "Pod")
    assert checks.pod("odd", exit_code=0, lines=["hello"])["metadata"]["name"] == "odd"
    with pytest.raises(checks.CheckFailed, match="did not print the line 'world': it printed 'hello"):
        checks.pod("odd", lines=["world"])  # the first program's log counts


def test_a_pod_that_failed_before_its_program_ran_says_which_container_failed() -> None:
    said = verdict(POD + "  initContainers: [{name: first, image: busybox, command: ['false']}]\n", lines=["hello"])
    assert "pod odd ended as Failed without having run: its container first ended with exit code 1" in said.found


def test_a_pod_whose_first_image_is_not_there_fails_at_once() -> None:
    said = verdict(POD + "  initContainers: [{name: first, image: busybocks, command: ['true']}]\n", timeout=20)
    assert "pod odd has not run: " in said.found
    assert "busybocks" in said.found


def test_a_program_that_is_started_again_is_a_matter_of_the_restart_policy() -> None:
    said = verdict(shell("exit 3").replace("restartPolicy: Never", "restartPolicy: OnFailure"), phase="Failed")
    assert "ran and ended with exit code 3, but its restartPolicy is OnFailure" in said.found
    assert "restartPolicy: Never" in said.hint
    said = verdict(POD.replace("  restartPolicy: Never\n", ""))
    assert "exit code 0, but its restartPolicy is Always" in said.found


def test_a_program_that_does_not_end_is_said_to_run() -> None:
    said = verdict(shell("echo so far; sleep 60"), runs=1)
    assert "it has been running for 1 s" in said.found
    assert "so far" in said.hint


def test_a_line_must_be_a_whole_line() -> None:
    assert "did not print the line 'hello'" in verdict(shell("echo hello, you"), lines=["hello"]).found


def test_a_program_that_is_not_there_is_named() -> None:
    assert "no-such-program" in str(verdict(POD.replace("[echo, hello]", "[no-such-program]")))


def test_what_the_scheduler_says_is_passed_on() -> None:
    large = yaml.safe_load(POD)
    large["spec"]["containers"][0]["resources"] = {"requests": {"memory": "9000Gi"}}
    said = verdict(yaml.safe_dump(large), timeout=2)
    assert "pod odd has not run after 2 s: " in said.found
    assert "Insufficient memory" in said.found


def test_a_pod_that_is_not_there_or_goes_away_says_so() -> None:
    client.remove("pod", "odd")
    with pytest.raises(checks.CheckFailed, match="there is no pod 'odd'"):
        checks.pod("odd")
    checks.create(shell("sleep 60"), "Pod")
    threading.Timer(0.5, client.remove, ("pod", "odd")).start()
    with pytest.raises(checks.CheckFailed, match="was deleted before it ended"):
        checks.pod("odd")


def test_what_the_api_server_refuses_is_said_in_its_words(connected: Path) -> None:
    with pytest.raises(checks.CheckFailed, match=r"spec\.container"):
        checks.create(POD.replace("containers:", "container:"), "Pod")


def test_of_several_containers_the_one_that_is_in_the_way_is_named() -> None:
    def waiting(name: str) -> dict[str, Any]:
        return {"name": name, "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}}

    fine = {"name": "a", "state": {"running": {}}}
    both = {
        "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
        "status": {"containerStatuses": [fine, waiting("b")]},
    }
    one = {"spec": {"containers": [{"name": "b"}]}, "status": {"containerStatuses": [waiting("b")]}}
    assert pods.stuck(both) == "container b: ImagePullBackOff: no such tag"
    assert pods.stuck(one) == "ImagePullBackOff: no such tag"
