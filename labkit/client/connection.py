"""One connection to the cluster of this process: KUBECONFIG's, or the pod's own where there is a service account."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import LabError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from kubernetes.dynamic import DynamicClient

START = "run `labkit up` in a terminal, or labkit.cluster.use() in a cell: both start the cluster"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def api() -> ApiClient:
    """The official client's connection, one for each kubeconfig; LabError where there is no cluster to talk to."""
    kubeconfig = os.environ.get("KUBECONFIG", "")
    try:
        found = os.stat(kubeconfig) if kubeconfig else None
    except OSError:
        found = None
    version = (found.st_mtime_ns, found.st_ino) if found else None  # it changes when the cluster is made again
    return _api(kubeconfig, version, os.getpid())


@cache
def _api(kubeconfig: str, _version: tuple[int, int] | None, _process: int) -> ApiClient:
    from kubernetes import client, config

    configuration = client.Configuration()
    if not kubeconfig and (ACCOUNT / "token").exists():
        config.load_incluster_config(client_configuration=configuration)
    else:
        try:
            config.load_kube_config(config_file=kubeconfig or None, client_configuration=configuration)
        except config.ConfigException as error:
            where = kubeconfig or "~/.kube/config"
            raise LabError(f"no cluster to talk to: {where}: {error}", START) from error
    return client.ApiClient(configuration)


def namespace() -> str:
    """The namespace of this process: its pod's, or that of KUBECONFIG's current context; `default` where none is."""
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig and (ACCOUNT / "namespace").exists():
        return (ACCOUNT / "namespace").read_text().strip()
    from kubernetes import config

    try:
        _, current = config.list_kube_config_contexts(config_file=kubeconfig)
    except config.ConfigException as error:
        raise LabError(f"no cluster to talk to: {error}", START) from error
    return str(current["context"].get("namespace") or "default")


def dynamic() -> DynamicClient:
    """The official client for any kind, by discovery; what it discovered is kept for this process only."""
    return _dynamic(api())


@cache
def _dynamic(connection: ApiClient) -> DynamicClient:
    from kubernetes.dynamic import DynamicClient

    # Its own default is a file in the temporary folder named by host and port, which another cluster may have had.
    with tempfile.TemporaryDirectory() as folder:
        return DynamicClient(connection, cache_file=str(Path(folder) / "discovery.json"))
