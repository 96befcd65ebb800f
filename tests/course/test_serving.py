"""The model server as a real process, asked over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
import requests

from labkit.course import serving
from labkit.errors import LabError


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    from labkit.course.training import architectures, export

    folder = tmp_path_factory.mktemp("model")
    model = architectures.build("linear", (28, 28), 10, seed=4)
    export.save(model, (28, 28), str(folder / "saved_model"))
    return folder / "saved_model", model


@pytest.fixture(scope="module")
def server(saved_model):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "HOST": "127.0.0.1", "PORT": str(port), "POD_NAME": "first-abc"}
    process = subprocess.Popen(
        [sys.executable, "-m", "labkit.course.serving", "--model", str(saved_model[0]), "--name", "linear"],
        env=environment,
    )
    try:
        session = requests.Session()
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=_until_it_listens()))
        url = f"http://127.0.0.1:{port}"
        assert session.get(f"{url}/healthz").text == "ok"
        yield url
    finally:
        process.terminate()
        ended = process.wait(30)
    assert ended in (0, -15)


def _until_it_listens():
    from urllib3.util import Retry

    return Retry(total=240, backoff_factor=0.1, backoff_max=0.5)


def test_predictions_are_the_models(server, saved_model):
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28))
    answer = requests.post(f"{server}/v1/models/linear:predict", json={"instances": images.tolist()})
    assert answer.status_code == 200
    predictions = np.array(answer.json()["predictions"])
    logits = saved_model[1](images[..., None].astype(np.uint8)).numpy()
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(predictions, expected, atol=1e-5)


def test_an_answer_names_the_pod_and_repeats_the_requests_id(server):
    url = f"{server}/v1/models/linear:predict"
    answer = requests.post(url, json={"instances": []}, headers={"X-Request-Id": "seven"})
    assert (answer.headers["X-Pod-Name"], answer.headers["X-Request-Id"]) == ("first-abc", "seven")
    first, second = (requests.post(url, json={"instances": []}).headers["X-Request-Id"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not JSON"),
        (b"[]", '"instances"'),
        (b'{"instances": 3}', "shape"),
        (b'{"instances": [[1, 2]]}', "shape"),
        (b'{"instances": [[1], [1, 2]]}', "inhomogeneous"),
        (b'{"instances": "image"}', "shape"),
        (b'{"instances": [' + str([[300] * 28] * 28).encode() + b"]}", "0 to 255"),
        (b'{"instances": [' + b"[" * 100000 + b"]}", "JSON"),
    ],
)
def test_a_wrong_request_is_refused_with_what_is_wrong(server, body, message):
    answer = requests.post(f"{server}/v1/models/linear:predict", data=body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_another_model_is_not_found(server):
    assert requests.post(f"{server}/v1/models/other:predict", json={"instances": []}).status_code == 404
    assert requests.get(f"{server}/v1/models/other").status_code == 404
    state = requests.get(f"{server}/v1/models/linear").json()["model_version_status"][0]["state"]
    assert state == "AVAILABLE"


def test_metrics_count_what_was_answered_also_at_once(server):
    def count() -> float:
        text = requests.get(f"{server}/metrics").text
        name = 'labkit_predict_requests_total{code="200",model="linear"}'
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    before = count()
    image = np.zeros((28, 28)).tolist()
    ask = [
        threading.Thread(
            target=requests.post, args=(f"{server}/v1/models/linear:predict", None, {"instances": [image]})
        )
        for _ in range(10)
    ]
    for thread in ask:
        thread.start()
    for thread in ask:
        thread.join()
    assert count() == before + 10
    assert 'labkit_predict_seconds_bucket{le="5.0",model="linear"}' in requests.get(f"{server}/metrics").text


def test_a_folder_without_a_model_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(LabError, match="no SavedModel"):
        serving.Model("linear", str(tmp_path))
