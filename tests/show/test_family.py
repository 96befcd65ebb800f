"""Which objects belong to a workflow, where only their names and times can tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labkit.show.family import Family

MANIFEST = """
apiVersion: batch/v1
kind: Job
metadata:
  {KEY}: "add-{{inputs.parameters.which}}{END}"
"""


@pytest.fixture(autouse=True)
def connected(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster))


def at(second: int) -> str:
    return f"2026-03-01T12:00:{second:02}Z"


def workflow(start: int, end: int | None, key: str = "generateName") -> dict[str, Any]:
    """A workflow whose step makes a Job between two seconds."""
    manifest = MANIFEST.replace("{KEY}", key).replace("{END}", "-" if key == "generateName" else "")
    node = {
        "type": "Pod",
        "templateName": "job",
        "startedAt": at(start),
        "finishedAt": at(end) if end is not None else None,
    }
    node["inputs"] = {"parameters": [{"name": "which", "value": "sums"}]}
    return {
        "metadata": {"name": "maker-x", "uid": "w"},
        "spec": {"templates": [{"name": "job", "resource": {"action": "create", "manifest": manifest}}]},
        "status": {"nodes": {"maker-x-1": node}},
    }


def job(name: str, created: int) -> dict[str, Any]:
    return {"kind": "Job", "metadata": {"name": name, "uid": name, "creationTimestamp": at(created)}}


def pod_of_a_job_that_is_gone(name: str, created: int) -> dict[str, Any]:
    owner = {"kind": "Job", "name": name, "uid": "gone"}
    meta = {"name": f"{name}-abcde", "uid": "p", "creationTimestamp": at(created), "ownerReferences": [owner]}
    return {"kind": "Pod", "metadata": meta}


def test_an_earlier_or_later_run_of_the_same_workflow_has_jobs_of_its_own() -> None:
    family = Family("default", workflow(10, 20))
    assert [family.has(job("add-sums-x7k2p", second)) for second in (9, 10, 20, 21)] == [False, True, True, False]
    assert not family.has(job("add-words-x7k2p", 15))
    assert [family.has(pod_of_a_job_that_is_gone("add-sums-x7k2p", second)) for second in (9, 25)] == [False, True]


def test_while_the_step_runs_whatever_is_made_may_be_its_own() -> None:
    family = Family("default", workflow(10, None))
    assert [family.has(job("add-sums-x7k2p", second)) for second in (9, 50)] == [False, True]


def test_a_name_that_the_manifest_says_whole_belongs_to_the_workflow_at_any_time() -> None:
    family = Family("default", workflow(10, 20, "name"))
    assert [family.has(job("add-sums", second)) for second in (1, 15, 50)] == [True, True, True]
