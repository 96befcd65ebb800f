"""The end-to-end system gives the same report on both engines, but for times, names of pods, and rounding.

With one worker the updates come one after another; several push theirs in whatever order the machine has them, on either
engine, so that no two runs are alike. Bit equality is not promised even with one: TensorFlow's kernels may sum in another order
in another process or on another CPU, and an image whose two best classes are all but equal then falls on the other side.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from books import WORKFLOWS, end_to_end
from labkit import cluster
from realkube.programs import Kube

SMALL = {"size": "3000", "steps": "100", "workers": "1"}
ROUNDING = 0.02  # of an accuracy: 6 of the 300 images; the models differ by far more from each other
Object = dict[str, Any]

pytestmark = [pytest.mark.kind, pytest.mark.timeout(1200)]


def accuracies(report: Object) -> dict[str, float]:
    """What was counted from the models' answers, by name."""
    found = {model["model"]: model["validation_accuracy"] for model in report["models"]}
    return found | report["test_accuracy"]


def without_accuracies(report: Object) -> Object:
    """What must be equal: the data, the choices, the numbers of updates."""
    kept = {key: value for key, value in report.items() if key not in ("test_accuracy", "paired", "confused")}
    return kept | {"models": [{k: v for k, v in m.items() if k != "validation_accuracy"} for m in report["models"]]}


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
        del served["p50"], served["tail"]
        served["pods"] = len(served["pods"])
    return found


def test_the_same_run_gives_the_same_report_on_both_engines(made: dict) -> None:
    embedded = cluster.up("beside", "embedded")
    try:
        here = report(embedded["kubeconfig"])
    finally:
        cluster.down("beside", purge=True)
    there = report(made["kubeconfig"])
    assert without_accuracies(here) == without_accuracies(there)
    ours, theirs = accuracies(here), accuracies(there)
    assert ours == pytest.approx(theirs, abs=ROUNDING)
    assert all(model["validation_accuracy"] > 0.6 for model in here["models"])
