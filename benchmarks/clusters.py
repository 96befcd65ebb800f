"""A cluster of its own for each benchmark, in a temporary home, gone at the end."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from labkit import cluster


@dataclass(frozen=True)
class Running:
    """A running cluster: its status, and an official client bound to it."""

    status: dict[str, Any]
    api: Any

    @contextmanager
    def used(self) -> Iterator[None]:
        """What finds its cluster by KUBECONFIG finds this one."""
        before = os.environ.get("KUBECONFIG")
        os.environ["KUBECONFIG"] = self.status["kubeconfig"]
        try:
            yield
        finally:
            os.environ.pop("KUBECONFIG") if before is None else os.environ.update(KUBECONFIG=before)


@contextmanager
def running(
    engine: str = "embedded", environment: Mapping[str, str] | None = None, **options: Any
) -> Iterator[Running]:
    """A fresh cluster of an engine, with options of `labkit up`; `environment` (LABKIT_PORTABLE="1") is set while it lives."""
    from kubernetes import client, config

    environment = environment or {}
    before = {k: os.environ.get(k) for k in (*environment, "LABKIT_HOME", "KUBECONFIG")}
    with tempfile.TemporaryDirectory(prefix="labkit-bench-", ignore_cleanup_errors=True) as home:
        os.environ.update(environment, LABKIT_HOME=home)
        try:
            status = cluster.up("bench", engine, **options)
            os.environ["KUBECONFIG"] = status["kubeconfig"]
            configuration = client.Configuration()
            config.load_kube_config(status["kubeconfig"], client_configuration=configuration)
            yield Running(status, client.ApiClient(configuration))
        finally:
            os.environ["LABKIT_HOME"] = home  # another cluster of this process may have come and gone
            cluster.down("bench", purge=True)
            for key, value in before.items():
                os.environ.pop(key, None) if value is None else os.environ.update({key: value})


def seconds(work: Any) -> float:
    """How long `work()` takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
