"""The end-to-end system gives the same report on both engines, to the last digit, but for times and names of pods.

With one worker the updates come one after another; several push theirs in whatever order the machine has them, on either
engine, so that no two runs are alike.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from course import WORKFLOWS, end_to_end

from labkit import cluster
from labkit.kind.programs import Kube

SMALL = {"size": "3000", "steps": "100", "workers": "1"}
Object = dict[str, Any]

pytestmark = [pytest.mark.kind, pytest.mark.timeout(1200)]


def report(kubeconfig: str) -> Object:
    """What the workflow's last step presents, without times; of the pods that answered their number and that they shared."""
    kube = Kube(Path(kubeconfig))
    kube("apply", "-f", str(WORKFLOWS / "claim.yaml"), "-f", str(WORKFLOWS / "access.yaml"))
    name = kube("create", "-o", "name", "-f", "-", input=yaml.safe_dump(end_to_end(**SMALL))).strip()
    kube("wait", name, "--for=condition=Completed", "--timeout=600s", timeout=620)
    status = json.loads(kube("get", name, "-o", "json"))["status"]
    assert status["phase"] == "Succeeded", status.get("message")
    found = json.loads(status["outputs"]["parameters"][0]["value"])
    for model in found["models"]:
        del model["seconds"]
    for served in found["serving"].values():
        del served["p50"], served["p99"]
        served["pods"] = len(served["pods"])
    return found


def test_the_same_run_gives_the_same_report_on_both_engines(made: dict) -> None:
    embedded = cluster.up("beside", "embedded")
    try:
        here = report(embedded["kubeconfig"])
    finally:
        cluster.down("beside", purge=True)
    there = report(made["kubeconfig"])
    assert here == there
    assert all(model["validation_accuracy"] > 0.6 for model in here["models"])
