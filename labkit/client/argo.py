"""The Argo client with its address: a cluster that serves Argo's API itself, or one whose `argo-server` is forwarded."""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

from labkit.client.connection import api
from labkit.client.forward import address
from labkit.errors import LabError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

SERVER = ("argo-server", "argo")  # the Service and namespace of upstream's manifests


def argo() -> Any:
    """An `argo_workflows.ApiClient` for `argo_workflows.api.*`; LabError where the cluster has no Argo Server.

    Pass `_check_return_type=False` to its calls: the Go server answers with nulls that the Python models refuse.
    """
    return _argo(api())


@cache
def _argo(connection: ApiClient) -> Any:
    import argo_workflows

    here = connection.configuration
    host = here.host if _serves_argo(connection) else f"https://{_forwarded()}"
    configuration = argo_workflows.Configuration(host=host)
    if host == here.host:
        configuration.ssl_ca_cert = here.ssl_ca_cert
    else:
        # argo-server signs its own certificate, which nobody can check; the tunnel to it is the API server's, which is checked.
        configuration.verify_ssl = False
        warnings.filterwarnings("ignore", message="Unverified HTTPS request is being made to host '127.0.0.1'")
    client = argo_workflows.ApiClient(configuration)
    token = here.get_api_key_with_prefix("authorization")
    if token:
        client.set_default_header("Authorization", token)
    return client


def _serves_argo(connection: ApiClient) -> bool:
    from kubernetes.client import ApiException

    try:
        connection.call_api("/api/v1/info", "GET", auth_settings=["BearerToken"], response_type="object")
        return True
    except ApiException:
        return False


def _forwarded() -> str:
    name, namespace = SERVER
    try:
        return address(name, namespace=namespace)
    except LabError as error:
        raise LabError("the cluster has no Argo Server", "install Argo Workflows 3.7, or use `labkit up`") from error
