"""The parts of the training programs that need no second process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.course.data import generated
from labkit.course.training import options, program, task
from labkit.course.training.batches import Batches
from labkit.errors import LabError

CLUSTER = {"chief": ["c:1"], "worker": ["w:1", "w:2"], "ps": ["p:1"]}


def config(cluster, kind, index) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}, "environment": "cloud"})


def test_tf_config_alone_decides_what_a_process_is():
    assert task.read("").strategy == "single"
    assert task.read("").is_chief
    assert task.read(config({"worker": ["w:1"]}, "worker", 0)).strategy == "single"
    assert task.read(config(CLUSTER, "worker", 1)).strategy == "parameter-server"
    workers = {"worker": ["w:1", "w:2"]}
    assert task.read(config(workers, "worker", 0)).is_chief
    assert not task.read(config(workers, "worker", 1)).is_chief
    assert task.read(config(workers, "worker", 1)).strategy == "multi-worker"
    led = task.read(config({"master": ["m:1"], **workers}, "worker", 0))
    assert (led.members[0], led.is_chief) == (("chief", 0), False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a cluster"),
        ("[]", "not a cluster"),
        ('{"cluster": {}}', "not a cluster"),
        (config(CLUSTER, "worker", 2), "worker 2 is not in its cluster"),
        (config({"worker": ["w:1"], "judge": ["j:1"]}, "worker", 0), "judge"),
        (config({"worker": ["w:1"], "ps": ["p:1"]}, "ps", 0), "needs a chief"),
    ],
)
def test_a_wrong_tf_config_is_refused(text, message):
    with pytest.raises(LabError, match=message):
        task.read(text)


def test_a_program_refuses_a_cluster_that_is_not_its_own(monkeypatch, capsys):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert program.main(["--data", "x", "--out", "y"], "parameter-server") == 1
    assert "does what TF_CONFIG says" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--batch-size", "0"], ["--epochs", "0"], ["--model", "gpt"], ["--steps", "-1"], []])
def test_wrong_options_are_a_usage_error(wrong):
    required = ["--data", "x", "--out", "y"] if wrong else []
    with pytest.raises(SystemExit) as ended:
        options.parse([*required, *wrong])
    assert ended.value.code == 2


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5), st.integers(1, 4))
def test_an_epoch_shows_each_example_once_and_shares_make_up_the_batch(size, batch, seed, shares):
    dataset = generated.generate(40, side=4).take(np.arange(size))
    if batch > size:
        with pytest.raises(LabError):
            Batches(dataset, batch, seed)
        return
    batches = Batches(dataset, batch, seed)
    seen = Counter(image.tobytes() for step in range(batches.per_epoch) for image in batches.at(step)[0])
    assert seen <= Counter(image.tobytes() for image in dataset.images)
    assert seen.total() == batches.per_epoch * batch
    step = batches.per_epoch + 1
    whole = batches.at(step)[0]
    parts = [batches.at(step, share, shares)[0] for share in range(shares)]
    assert Counter(map(bytes, whole)) == Counter(bytes(image) for part in parts for image in part)
    assert np.array_equal(whole, Batches(dataset, batch, seed).at(step)[0])


def test_checkpoints_and_metrics_are_kept_at_an_object_store_too(tmp_path):
    import tensorflow as tf

    from labkit.course.training.checkpoints import Checkpoints
    from labkit.course.training.metrics import Metrics

    url = f"memory://{tmp_path.name}"
    first = tf.Variable([1.0, 2.0])
    Checkpoints(f"{url}/checkpoints", {"weights": first}).save(7)
    second = tf.Variable([0.0, 0.0])
    assert Checkpoints(f"{url}/checkpoints", {"weights": second}).restore() == 7
    assert second.numpy().tolist() == [1, 2]
    for number in range(2):
        metrics = Metrics(f"{url}/metrics.jsonl", "chief-0")
        metrics.record("progress", step=number)
        metrics.flush()
    from labkit.course.data import storage

    lines = storage.read_bytes(f"{url}/metrics.jsonl").decode().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1]


def test_another_trainings_folder_is_refused_and_a_finished_one_is_left_alone(shards, tmp_path, capsys):
    arguments = ["--data", shards, "--out", str(tmp_path), "--model", "linear", "--steps", "5"]
    assert program.main(arguments) == 0
    before = (tmp_path / "result.json").stat().st_mtime_ns
    assert program.main(arguments) == 0
    assert "already finished" in capsys.readouterr().out
    assert (tmp_path / "result.json").stat().st_mtime_ns == before
    assert program.main([*arguments, "--lr", "0.5"]) == 1
    assert "training with other lr" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["linear", "mlp", "cnn"])
def test_an_architecture_has_the_same_weights_for_the_same_seed_and_others_for_another(name):
    from labkit.course.training import architectures

    first, again, other = (architectures.build(name, (28, 28), 10, seed).get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(first, other, strict=True))


def test_our_adam_is_keras_adam():
    import keras
    import tensorflow as tf

    from labkit.course.training.optimizer import Adam

    ours, theirs = tf.Variable([1.0, -2.0, 3.0]), keras.Variable([1.0, -2.0, 3.0])
    mine, reference = Adam([ours], 0.01), keras.optimizers.Adam(0.01)
    random = np.random.default_rng(0)
    for _ in range(50):
        gradient = tf.constant(random.normal(size=3), tf.float32)
        mine.apply([gradient])
        reference.apply([gradient], [theirs])
    assert np.allclose(ours.numpy(), theirs.numpy(), atol=1e-5)


def test_asking_for_help_does_not_wait_for_tensorflow():
    code = "import sys, runpy; sys.argv = ['x', '--help']\ntry: runpy.run_module('labkit.course.training', run_name='__main__')\nexcept SystemExit: print('tensorflow' in sys.modules)"  # noqa: E501
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout.strip().endswith("False")
