"""A client of the model servers: finds a Service as any pod does, and asks again when a replica fails.

Each attempt is a new connection, so that it may reach another replica, and carries the same request id: a server, or
whoever reads its log, can tell a repeated question from a new one.
"""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass

import numpy as np
import requests

from labkit.errors import LabError

ATTEMPTS = 8
PAUSE = 0.1  # seconds before the second attempt, doubled each time
TIMEOUT = 30.0  # seconds for one attempt


@dataclass(frozen=True)
class Answer:
    """`probabilities`: (images, classes). `seconds` is the time of the attempt that succeeded."""

    probabilities: np.ndarray
    seconds: float
    attempts: int
    pod: str


def address(service: str) -> str:
    """`http://host:port` from the variables that Kubernetes gives each pod for the Services that were there before it."""
    name = service.upper().replace("-", "_")
    host, port = os.environ.get(f"{name}_SERVICE_HOST"), os.environ.get(f"{name}_SERVICE_PORT")
    if not host or not port:
        raise LabError(
            f"no {name}_SERVICE_HOST and _PORT in the environment",
            f"the Service {service} must exist in this namespace before the pod that uses it is created",
        )
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def ask(base: str, model: str, images: np.ndarray) -> Answer:
    """The answer to one request; `LabError` when none of `ATTEMPTS` attempts succeeds, or the request is refused."""
    url, body = f"{base}/v1/models/{model}:predict", {"instances": images.tolist()}
    headers = {"X-Request-Id": uuid.uuid4().hex, "Connection": "close"}
    pause, problem = PAUSE, ""
    for attempt in range(1, ATTEMPTS + 1):
        began = time.perf_counter()
        try:
            reply = requests.post(url, json=body, headers=headers, timeout=TIMEOUT)
            if reply.status_code == 200:
                seconds = time.perf_counter() - began
                probabilities = np.array(reply.json()["predictions"], np.float64)
                return Answer(probabilities, seconds, attempt, reply.headers.get("X-Pod-Name", ""))
            problem = f"{reply.status_code} {reply.text[:200]}"
            if reply.status_code < 500:
                break
        except (requests.RequestException, ValueError, KeyError) as error:
            problem = str(error)
        if attempt < ATTEMPTS:
            time.sleep(pause)
            pause *= 2
    raise LabError(f"{url} gives no answer: {problem}", "look at the logs of the pods behind the Service")
