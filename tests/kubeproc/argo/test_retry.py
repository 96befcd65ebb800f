"""Attempts: how many, after what, with what in their variables, and when."""

from __future__ import annotations

from typing import Any

import pytest
from play import Object, Play, container

from kubeproc import timestamps
from kubeproc.argo.language import go_text
from kubeproc.argo.workflow import retry
from kubeproc.resources import PODS, WORKFLOWS


def spec(strategy: Object, **more: Any) -> Object:
    template = container(retryStrategy=strategy)
    template["container"]["args"] = [
        "{{retries}}",
        "{{lastRetry.exitCode}}",
        "{{lastRetry.status}}",
        "{{lastRetry.message}}",
    ]
    return {"entrypoint": "main", "templates": [template], **more}


def test_a_limit_of_n_allows_n_plus_one_attempts() -> None:
    play = Play(spec({"limit": "2"})).run(lambda pod: 3)
    assert play.phases() == {"": "Failed", "(0)": "Failed", "(1)": "Failed", "(2)": "Failed"}
    assert (play.phase, play.message) == ("Failed", "No more retries left")
    node = play.nodes[""]
    assert (node["type"], node["children"]) == ("Retry", [play.nodes[f"({i})"]["id"] for i in range(3)])
    assert play.nodes["(0)"]["nodeFlag"] == {"retried": True}


def test_an_attempt_knows_the_one_before_it() -> None:
    seen: list[list[str]] = []

    def program(pod: Object) -> int:
        seen.append(pod["spec"]["containers"][1]["args"])
        return 7 if len(seen) < 2 else 0

    play = Play(spec({"limit": 5})).run(program)
    assert seen == [["0", "0", "", ""], ["1", "7", "Failed", "main: Error (exit code 7)"]]
    assert play.phase == "Succeeded"
    assert play.nodes[""]["outputs"] == {"exitCode": "0"}


@pytest.mark.parametrize(
    ("policy", "phase", "attempts"),
    [
        ({}, "Failed", 2),
        ({}, "Error", 1),
        ({"retryPolicy": "OnError"}, "Failed", 1),
        ({"retryPolicy": "OnError"}, "Error", 2),
        ({"retryPolicy": "Always"}, "Error", 2),
        ({"retryPolicy": "OnTransientError"}, "Failed", 1),
        ({"expression": "lastRetry.status == 'Error'"}, "Error", 2),
        ({"expression": "asInt(lastRetry.exitCode) > 100"}, "Failed", 1),
    ],
)
def test_the_policy_says_after_what(policy: Object, phase: str, attempts: int) -> None:
    play = Play(spec({"limit": 1, **policy}))
    for _ in range(4):
        play.settle()
        for pod in play.pods():
            if phase == "Failed":
                play.end(pod, 1)
            else:
                state = {"terminated": {"exitCode": 64, "reason": "Error"}}
                play.set_status(pod, {"phase": "Failed", "initContainerStatuses": [{"name": "init", "state": state}]})
    assert sum(name.startswith("(") for name in play.nodes) == attempts
    assert play.phase == phase


def test_backoff_waits_and_says_so() -> None:
    play = Play(spec({"limit": 3, "backoff": {"duration": "10", "factor": 2, "cap": "15s"}}))
    play.settle()
    play.end(play.pods()[0], 1)
    again = play.settle()
    assert again is not None
    assert 8 < again <= 10
    assert play.nodes[""]["message"] == "Backoff for 10 seconds"
    assert play.pods() == []
    _age(play, "(0)", 11)
    play.settle()
    assert "message" not in play.nodes[""]
    play.end(play.pods()[0], 1)
    play.settle()
    assert play.nodes[""]["message"] == "Backoff for 15 seconds"


def _age(play: Play, node: str, seconds: int) -> None:
    id = play.nodes[node]["id"]

    def earlier(workflow: Object) -> None:
        found = workflow["status"]["nodes"][id]
        for field in ("startedAt", "finishedAt"):
            found[field] = timestamps.stamp((timestamps.seconds_or_none(found[field]) or 0) - seconds)

    play.store.modify(WORKFLOWS, "default", play.name, earlier)


def test_max_duration_ends_the_attempts() -> None:
    play = Play(spec({"limit": 9, "backoff": {"duration": "1", "maxDuration": "5s"}}))
    play.settle()
    assert play.pods()[0]["spec"].get("activeDeadlineSeconds") is None
    play.end(play.pods()[0], 1)
    play.settle()
    _age(play, "(0)", 10)
    play.settle()
    assert (play.phase, play.message) == ("Failed", "Max duration limit exceeded")


def test_a_backoff_that_would_last_too_long_is_not_begun() -> None:
    play = Play(spec({"limit": 9, "backoff": {"duration": "1m", "maxDuration": "5s"}})).run(lambda pod: 1)
    assert play.message == "Backoff would exceed max duration limit"


def test_an_invalid_strategy_is_an_error() -> None:
    play = Play(spec({"limit": "many"})).run(lambda pod: 1)
    assert play.phase == "Error"
    assert "value 'many' cannot be resolved to an int" in play.message


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (59, "59 seconds"),
        (61, "1 minute 1 seconds"),
        (3720, "1 hour 2 minutes"),
        (90000, "1 day 1 hours"),
    ],
)
def test_durations_are_printed_in_two_units(seconds: int, words: str) -> None:
    assert retry.humanize(seconds) == words


@pytest.mark.parametrize(("text", "seconds"), [("10", 10), ("1m30s", 90), ("1.5h", 5400), ("500ms", 0.5), ("-2s", -2)])
def test_durations_are_read_as_in_go(text: str, seconds: float) -> None:
    assert go_text.duration(text) == pytest.approx(seconds)
    for wrong in ("", "abc", "5x", "1m 2s"):
        with pytest.raises(ValueError, match="unable to parse"):
            go_text.duration(wrong)


def test_the_workflows_own_strategy_holds_for_all_its_pods() -> None:
    step = {"name": "a", "template": "work"}
    templates = [{"name": "main", "steps": [[step]]}, container("work")]
    play = Play({"entrypoint": "main", "templates": templates, "retryStrategy": {"limit": 1}})
    play.run(lambda pod: 1)
    assert [name for name in play.nodes if name.endswith(")")]
    assert play.phase == "Failed"


def run_with_hosts(play: Play) -> list[Object]:
    """Run it with every pod failing on a node of its own; the pods' affinities."""
    seen: list[Object] = []

    def program(pod: Object) -> int:
        seen.append(pod["spec"].get("affinity") or {})
        pod["spec"]["nodeName"] = f"node-{len(seen)}"
        pod["metadata"] = play.store.update(PODS, pod)["metadata"]
        return 1

    play.run(program)
    return seen


def excluded(affinity: Object) -> list[Object]:
    required = affinity.get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", {})
    return [rule for term in required.get("nodeSelectorTerms", ()) for rule in term["matchExpressions"]]


def test_an_attempt_stays_away_from_where_earlier_ones_failed() -> None:
    play = Play(spec({"limit": "2", "affinity": {"nodeAntiAffinity": {}}}))
    host = {"key": "kubernetes.io/hostname", "operator": "NotIn"}
    assert [excluded(a) for a in run_with_hosts(play)] == [
        [], [host | {"values": ["node-1"]}], [host | {"values": ["node-2", "node-1"]}]]  # fmt: skip


def test_where_failed_attempts_were_is_added_to_the_template_s_own_affinity() -> None:
    fast = {"key": "disk", "operator": "In", "values": ["ssd"]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [fast]}]}}
    wanted = spec({"limit": "1", "affinity": {"nodeAntiAffinity": {}}})
    wanted["templates"][0]["affinity"] = {"nodeAffinity": required}
    host = {"key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["node-1"]}
    assert [excluded(a) for a in run_with_hosts(Play(wanted))] == [[fast], [fast, host]]


def test_a_step_stays_away_from_where_the_group_that_is_tried_again_has_failed() -> None:
    group = {"name": "main", "steps": [[{"name": "a", "template": "work"}]],
             "retryStrategy": {"limit": "1", "affinity": {"nodeAntiAffinity": {}}}}  # fmt: skip
    play = Play({"entrypoint": "main", "templates": [group, container("work")]})
    first, second = (excluded(a) for a in run_with_hosts(play))
    assert (first, [rule["values"] for rule in second]) == ([], [["node-1"]])
