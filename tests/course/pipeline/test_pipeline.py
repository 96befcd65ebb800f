"""The steps of the end-to-end system, run one after another on real data, with real model servers between them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest

from labkit.course import data
from labkit.course.pipeline import aggregate, asking, ingest, present, select
from labkit.course.registry import Registry
from labkit.errors import LabError


def test_ingestion_is_done_once_and_again_only_where_data_are_damaged(run_step, tmp_path):
    arguments = ("--dataset", "digits", "--size", "300", "--out", str(tmp_path / "sets"))
    code, first, _ = run_step(ingest, *arguments)
    assert code == 0
    assert (first["dataset"], first["source"]) == ("digits", "scikit-learn's load_digits")
    shard = tmp_path / "sets" / "digits-300-stratified-3-seed-0" / "train-00001.npz"
    stamp = shard.stat().st_mtime_ns
    code, again, printed = run_step(ingest, *arguments)
    assert again == first
    assert "reused" in printed
    assert shard.stat().st_mtime_ns == stamp
    shard.write_bytes(b"damaged")
    code, mended, printed = run_step(ingest, *arguments)
    assert (code, mended) == (0, first)
    assert "written again" in printed
    data.verify(mended["url"])


def test_other_data_have_another_version_and_folder(run_step, tmp_path):
    arguments = ("--dataset", "digits", "--size", "300", "--out", str(tmp_path))
    _, first, _ = run_step(ingest, *arguments)
    _, second, _ = run_step(ingest, *arguments, "--seed", "1")
    assert first["version"] != second["version"]
    assert first["url"] != second["url"]


def test_too_many_examples_are_an_error_with_a_hint(run_step, tmp_path):
    code, _, printed = run_step(ingest, "--dataset", "digits", "--size", "5000", "--out", str(tmp_path))
    assert code == 1
    assert "hint: ask for at most 1797" in printed


def selection(run_step, runs, url, out, models="linear,mlp,cnn"):
    where = ("--out", str(out), "--registry", f"{out}/registry")
    return run_step(select, "--data", url, "--runs", str(runs), "--models", models, *where)


def test_the_best_two_on_held_out_data_are_selected(run_step, system, tmp_path):
    root, url = system
    code, outputs, _ = selection(run_step, root / "runs", url, tmp_path, '["linear", "mlp", "cnn"]')
    assert code == 0
    found = json.loads((tmp_path / "selection.json").read_text())
    accuracy = {each["model"]: each["accuracy"] for each in found["candidates"]}
    for model, value in accuracy.items():
        recorded = json.loads((root / "runs" / model / "result.json").read_text())["accuracy"]
        assert value == pytest.approx(recorded, abs=0.01)
    best, second, worst = sorted(accuracy, key=lambda model: -accuracy[model])
    assert accuracy[outputs["first-model"]] == accuracy[best]
    assert accuracy[outputs["second-model"]] == accuracy[second] >= accuracy[worst]
    assert outputs["first-url"].endswith(f"runs/{outputs['first-model']}/saved_model")
    assert found["note"] == ""


def test_what_is_selected_becomes_a_version_of_its_model_once(run_step, system, tmp_path):
    root, url = system
    selection(run_step, root / "runs", url, tmp_path)
    first = json.loads((tmp_path / "selection.json").read_text())["first"]
    (version,) = Registry(f"{tmp_path}/registry").versions(first["model"])
    assert (version.number, version.model) == (first["version"], first["url"]) == (1, first["url"])
    assert version.data == data.read_manifest(url)["version"]
    assert version.measures == {"validation_accuracy": first["accuracy"]}
    selection(run_step, root / "runs", url, tmp_path)
    assert Registry(f"{tmp_path}/registry").versions(first["model"]) == [version]


def test_data_that_are_not_there_any_more_are_an_error_that_names_the_remedy(run_step, system, tmp_path):
    code, _, printed = selection(run_step, system[0] / "runs", str(tmp_path / "gone"), tmp_path)
    assert code == 1
    assert f"there are no data at {tmp_path}/gone" in printed
    assert "kubectl delete configmap labkit-ingestion" in printed


def test_a_failed_training_is_left_out_and_one_survivor_serves_both(run_step, system, tmp_path):
    root, url = system
    shutil.copytree(root / "runs", tmp_path / "runs")
    (tmp_path / "runs" / "cnn" / "result.json").unlink()
    _, two, _ = selection(run_step, tmp_path / "runs", url, tmp_path)
    assert {two["first-model"], two["second-model"]} == {"linear", "mlp"}
    (tmp_path / "runs" / "mlp" / "saved_model" / "saved_model.pb").write_bytes(b"damaged")
    code, one, printed = selection(run_step, tmp_path / "runs", url, tmp_path)
    assert (code, one["first-model"], one["second-model"]) == (0, "linear", "linear")
    assert "left out, since no usable model came of their training: mlp, cnn" in printed
    assert "both serving steps serve it" in printed


def test_without_any_model_the_selection_fails_and_says_why(run_step, system, tmp_path):
    code, _, printed = selection(run_step, tmp_path / "nothing", system[1], tmp_path)
    assert code == 1
    assert "cnn: its training did not finish" in printed


@pytest.fixture
def services(system, run_step, tmp_path, monkeypatch):
    """Two model servers behind the variables that a pod gets; returns the folder with the selection."""
    _, outputs, _ = selection(run_step, system[0] / "runs", system[1], tmp_path / "work")
    processes = []
    for place in ("first", "second"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        command = ["--model", outputs[f"{place}-url"], "--name", outputs[f"{place}-model"]]
        environment = {**os.environ, "HOST": "127.0.0.1", "PORT": port, "POD_NAME": f"{place}-0"}
        processes.append(subprocess.Popen([sys.executable, "-m", "labkit.course.serving", *command], env=environment))
        monkeypatch.setenv(f"RUN_{place.upper()}_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv(f"RUN_{place.upper()}_SERVICE_PORT", port)
    yield tmp_path / "work"
    for process in processes:
        process.terminate()
        process.wait(10)


def test_both_services_are_asked_and_the_result_is_presented(run_step, services, system, monkeypatch):
    root, url = system
    monkeypatch.setattr(asking, "ATTEMPTS", 12)  # the servers are still starting
    ask = ("--data", url, "--work", str(services), "--first", "run-first", "--second", "run-second")
    code, outputs, printed = run_step(aggregate, *ask)
    assert code == 0, printed
    found = json.loads((services / "aggregate.json").read_text())
    test = data.read(url, "test")
    saved = np.load(services / "predictions.npz")
    assert np.allclose(saved["ensemble"], (saved["first"] + saved["second"]) / 2)
    assert found["accuracy"]["ensemble"] == np.mean(saved["ensemble"].argmax(1) == test.labels)
    assert np.array(found["confusion"]["first"]).sum(axis=1).tolist() == test.histogram()
    assert (found["batch"], found["serving"]["first"]["pods"]) == (1, {"first-0": len(test)})
    slow = found["serving"]["second"]["tail"]
    assert 0 < found["serving"]["second"]["p50"] <= slow["seconds"]
    assert len(test) * (100 - slow["percentile"]) / 100 >= 10, "a percentile that ten requests lie beyond"
    paired = found["paired"]
    gain = (paired["gained"] - paired["lost"]) / len(test)
    assert found["accuracy"]["ensemble"] - found["accuracy"][paired["better"]] == pytest.approx(gain)
    assert outputs["accuracy"] == f"{found['accuracy']['ensemble']:.4f}"

    report = services.parent / "report"
    tell = ("--data", url, "--runs", str(root / "runs"), "--work", str(services), "--report", str(report))
    code, outputs, printed = run_step(present, *tell)
    assert code == 0, printed
    assert f"| both together | {100 * found['accuracy']['ensemble']:.1f} % (" in printed
    result = json.loads((report / "result.json").read_text())
    assert result == json.loads(outputs["result"])
    assert [each["steps"] for each in result["models"]] == [30, 40, 40]
    assert result["versions"] == {"first": 1, "second": 1}
    assert f"first: {result['first']}, version 1 |" in printed
    assert result["data"]["version"] == data.read_manifest(url)["version"]
    confused = result["confused"]["ensemble"]
    row, column = test.classes.index(confused["true"]), test.classes.index(confused["taken_for"])
    assert confused["images"] == found["confusion"]["ensemble"][row][column]
    for name in ("accuracy", "confusion", "predictions", "latency", "learning"):
        content = (report / f"{name}.png").read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) > 8000
        assert content == (services / "report" / f"{name}.png").read_bytes()


def test_a_service_that_was_not_there_before_the_pod_is_an_error_with_a_hint(monkeypatch):
    monkeypatch.delenv("RUN_FIRST_SERVICE_HOST", raising=False)
    with pytest.raises(LabError, match="before the pod"):
        asking.address("run-first")


def test_a_request_that_no_replica_answers_ends_with_the_reason(monkeypatch):
    monkeypatch.setattr(asking, "ATTEMPTS", 2)
    with pytest.raises(LabError, match="gives no answer"):
        asking.ask("http://127.0.0.1:9", "linear", np.zeros((1, 28, 28)))


def test_names_are_read_from_a_list_or_from_json():
    assert select.names("a,b") == select.names('["a", "b"]') == ["a", "b"]
    with pytest.raises(LabError, match="different"):
        select.names("a,a")
