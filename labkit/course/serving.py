"""A model server: `python -m labkit.course.serving --model URL --name NAME`, one of the replicas behind a Service.

It speaks TensorFlow Serving's REST form (https://www.tensorflow.org/tfx/serving/api_rest, row format):

    POST /v1/models/NAME:predict   {"instances": [image, ...]} -> {"predictions": [[probability, ...], ...]}
    GET  /v1/models/NAME           the version's state
    GET  /healthz                  200 once the model can answer: the readiness probe
    GET  /metrics                  counts and latencies, as Prometheus text

Every answer names the pod that gave it (`X-Pod-Name`), and repeats the request's id (`X-Request-Id`), so that a client
that asked twice can tell what was answered once. It listens on `$HOST:$PORT`, by default 0.0.0.0:8080.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from labkit.course.data import storage
from labkit.errors import LabError

LIMIT = 32 * 1024 * 1024  # bytes of a request's body
BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)  # seconds


class Model:
    """An exported model in memory. `shape` is that of one instance."""

    def __init__(self, name: str, url: str) -> None:
        import numpy as np
        import tensorflow as tf

        if not storage.exists(storage.join(url, "saved_model.pb")):
            raise LabError(f"there is no SavedModel at {url}", "give the folder that the training exported to")
        self.name = name
        if storage.is_local(url):
            self._loaded = tf.saved_model.load(str(storage.local_path(url)))
        else:
            with tempfile.TemporaryDirectory(prefix="model-") as folder:
                storage.download(url, Path(folder))
                self._loaded = tf.saved_model.load(folder)
        self._signature = self._loaded.signatures["serving_default"]
        (self._input, spec), *_ = self._signature.structured_input_signature[1].items()
        (self._output, *_) = self._signature.structured_outputs
        self.shape = tuple(spec.shape[1:])
        self.predict([np.zeros(self.shape).tolist()])  # the first call is slow: it is made before anyone waits for it

    def predict(self, instances: Any) -> list:
        """Instances of `shape` with numbers from 0 to 255; `ValueError` says what is wrong with others."""
        import numpy as np

        array = np.asarray(instances)
        if not isinstance(instances, list) or array.dtype.kind not in "iuf" or array.shape[1:] != self.shape:
            raise ValueError(f"instances must be a list of numbers of shape {self.shape}")
        if array.size and not (array.min() >= 0 and array.max() <= 255):
            raise ValueError("pixels go from 0 to 255")
        return self.probabilities(array.astype(np.uint8)).tolist()

    def probabilities(self, images: Any) -> Any:
        """uint8 (n, height, width) to float32 (n, classes), both NumPy arrays."""
        import tensorflow as tf

        return self._signature(**{self._input: tf.constant(images)})[self._output].numpy()


def build(model: Model, pod: str, slow: float = 0.0) -> Starlette:
    """The application. `slow` delays each prediction by so many seconds: one replica of an unequal set."""
    registry = CollectorRegistry()
    requests = Counter("labkit_predict_requests", "Requests answered", ["model", "code"], registry=registry)
    seconds = Histogram("labkit_predict_seconds", "Seconds to answer", ["model"], registry=registry, buckets=BUCKETS)

    def answer(request: Request, content: dict, status: int = 200) -> Response:
        requests.labels(model.name, str(status)).inc()
        identity = request.headers.get("x-request-id") or uuid.uuid4().hex
        return JSONResponse(content, status, headers={"X-Pod-Name": pod, "X-Request-Id": identity})

    async def predict(request: Request) -> Response:
        began = time.perf_counter()
        if request.path_params["name"] != model.name:
            return answer(request, {"error": f"no model {request.path_params['name']!r}; here is {model.name!r}"}, 404)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LIMIT:
                return answer(request, {"error": f"the request is larger than {LIMIT} bytes"}, 413)
        try:
            predictions = await run_in_threadpool(_predict, model, bytes(body), slow)
        except ValueError as error:
            return answer(request, {"error": str(error)}, 400)
        seconds.labels(model.name).observe(time.perf_counter() - began)
        return answer(request, {"predictions": predictions})

    async def state(request: Request) -> Response:
        if request.path_params["name"] != model.name:
            return JSONResponse({"error": f"no model {request.path_params['name']!r}"}, 404)
        return JSONResponse({"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": {}}]})

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok", headers={"X-Pod-Name": pod})

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/metrics", metrics),
            Route("/v1/models/{name}:predict", predict, methods=["POST"]),
            Route("/v1/models/{name}", state),
        ]
    )


def _predict(model: Model, body: bytes, slow: float) -> list:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the request is not JSON: {error}") from error
    if not isinstance(content, dict) or "instances" not in content:
        raise ValueError('the request must be {"instances": [...]}')
    if slow:
        time.sleep(slow)
    try:
        return model.predict(content["instances"])
    except (TypeError, OverflowError) as error:
        raise ValueError(f"instances cannot be read: {error}") from error


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m labkit.course.serving", description="Serve one exported model by HTTP."
    )
    parser.add_argument("--model", required=True, metavar="URL", help="folder of the SavedModel")
    parser.add_argument("--name", required=True, help="name in the URL: /v1/models/NAME:predict")
    parser.add_argument("--slow", type=float, default=0.0, metavar="SECONDS", help="delay each prediction (a drill)")
    parser.add_argument("--threads", type=int, default=1, help="of TensorFlow in one operation (default: 1)")
    options = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    import tensorflow as tf
    import uvicorn

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    try:
        model = Model(options.name, options.model)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    pod = os.environ.get("POD_NAME") or socket.gethostname()
    host, port = os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "8080"))
    print(f"{pod} serves {options.name} from {options.model} on {host}:{port}", flush=True)
    uvicorn.run(build(model, pod, options.slow), host=host, port=port, log_level="warning", timeout_graceful_shutdown=5)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
