"""Runs the cases, several at once, on an embedded cluster, and with `--record KUBECONFIG` on a real one first.

A case takes seconds of waiting and little work, so that all selected ones are started together at the first test.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clusters import running_cluster
from kubeproc.folder import portable
from kubeproc.network import client, mode

from . import golden
from .lab import KUBECTL, Engine, Lab
from .registry import Case, load

AT_ONCE = int(os.environ.get("LABKIT_CONFORMANCE_JOBS", "8"))
PATIENCE = 5.0  # with a real cluster, which may share a small machine
EXECUTOR = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "conformance"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "ServiceAccount", "name": "default"}],
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", metavar="KUBECONFIG", help="record the golden answers anew from this real cluster")
    parser.addoption(
        "--against", metavar="KUBECONFIG", help="ask this real cluster whether the golden answers still hold"
    )
    parser.addoption("--network", choices=["pods", "shared"], help="of the embedded cluster")
    parser.addoption("--every", action="store_true", help="with --against: every case, not some of each kind")


def oracle(config: pytest.Config) -> str:
    """The kubeconfig to record from, or nothing."""
    return config.getoption("--record", None) or os.environ.get("LABKIT_CONFORMANCE_RECORD", "")


@pytest.fixture(scope="session")
def network(request: pytest.FixtureRequest) -> str:
    """The network of the embedded cluster: the one that `--network` names, else pods' own where that is possible."""
    if found := request.config.getoption("--network", None):
        return str(found)
    with tempfile.TemporaryDirectory() as folder:
        return mode.SHARED if portable() or client.missing(Path(folder) / "log") else mode.PODS


@pytest.fixture(scope="session")
def answers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, network: str
) -> Iterator[Callable[[str], Any]]:
    """`answers(name)` is what the embedded cluster answered to a case."""
    names = [
        item.callspec.params["case"]
        for item in request.session.items
        if hasattr(item, "callspec") and "case" in item.callspec.params
    ]
    every = load()
    names = [name for name in names if network == mode.PODS or not name.startswith("network/")]
    chosen = {name: every[name] for name in dict.fromkeys(names)}
    failed: dict[str, BaseException] = {}
    if kubeconfig := oracle(request.config):
        with forwarded(Path(kubeconfig)) as argo:
            engine = Engine(Path(kubeconfig), argo, tmp_path_factory.mktemp("cache"), PATIENCE)
            with running(engine, chosen) as futures:
                failed = {name: error for name, future in futures.items() if (error := future.exception())}
        golden.record({name: future.result() for name, future in futures.items() if name not in failed})
    with running_cluster(tmp_path_factory.mktemp("conformance"), network=network) as folder:
        api = Engine(folder.kubeconfig, "", tmp_path_factory.mktemp("cache"))
        api.argo = api.url
        with running(api, chosen) as futures:

            def answer(name: str) -> Any:
                if name in failed:
                    raise failed[name]
                return futures[name].result()

            yield answer


@contextmanager
def running(engine: Engine, cases: dict[str, Case]) -> Iterator[dict[str, Future[Any]]]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            yield {name: pool.submit(ask, engine, case) for name, case in cases.items()}
        finally:
            pool.shutdown(cancel_futures=True)


def ask(engine: Engine, case: Case) -> Any:
    """One case in a namespace of its own, deleted afterwards."""
    lab = Lab(engine, f"conf-{uuid.uuid4().hex[:10]}")
    made = lab.call("POST", "/api/v1/namespaces", {"metadata": {"name": lab.ns}})
    assert made.code == 201, made.body
    try:
        lab.until("serviceaccounts", "default", bool)
        if case.__module__.endswith(("workflows", "argo_server")):
            subject = EXECUTOR["subjects"][0] | {"namespace": lab.ns}
            lab.create({**EXECUTOR, "subjects": [subject]})
        return case(lab)
    finally:
        lab.call("DELETE", f"/api/v1/namespaces/{lab.ns}")


def scheme(port: int) -> str:
    """How the server on the port is spoken to: Argo's own manifests have it serve TLS, others plain HTTP."""
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as plain, anybody.wrap_socket(plain):
            return "https"
    except ssl.SSLError:
        return "http"


@contextmanager
def forwarded(kubeconfig: Path) -> Iterator[str]:
    """The URL of a real cluster's Argo Server, through a forwarded port."""
    with tempfile.TemporaryFile("w+") as log:
        command = [KUBECTL, "--kubeconfig", str(kubeconfig), "-n", "argo", "port-forward", "svc/argo-server", ":2746"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "127.0.0.1:" in line, line
            port = int(line.split("127.0.0.1:")[1].split()[0])
            yield f"{scheme(port)}://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()
