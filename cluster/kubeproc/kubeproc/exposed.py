"""Ports that are open on every interface of this machine, although the cluster binds to 127.0.0.1: TensorFlow's
servers.

Each replica of a distributed TFJob (one with TF_CONFIG) runs a TensorFlow gRPC server on the host port of its
container. TensorFlow binds it to all addresses, without authentication. `engine.status` lists these ports while such
pods run.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

REPLICAS = (
    "SELECT CAST(body AS TEXT) FROM object WHERE resource='pods' "
    "AND json_extract(CAST(body AS TEXT), '$.status.phase')='Running' "
    "AND json_extract(CAST(body AS TEXT), '$.metadata.labels.\"training.kubeflow.org/operator-name\"') IS NOT NULL"
)


def notes(database: sqlite3.Connection) -> list[str]:
    """For `engine.status`: a line if there are such ports, else none."""
    found = sorted({port for (body,) in database.execute(REPLICAS) for port in ports(json.loads(body))})
    if not found:
        return []
    return [
        "trainings run, and TensorFlow's own ports are open on every interface of this machine, to anybody who reaches "
        f"them: {', '.join(spans(found))}"
    ]


def ports(pod: dict[str, Any]) -> list[int]:
    """The host ports of a pod's containers that have TF_CONFIG."""
    containers = [c for c in pod["spec"]["containers"] if any(e["name"] == "TF_CONFIG" for e in c.get("env", []))]
    return [port["hostPort"] for each in containers for port in each.get("ports", []) if "hostPort" in port]


def spans(numbers: Iterable[int]) -> list[str]:
    """Sorted numbers as ranges: `20011-20013, 20020`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
