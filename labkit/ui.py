"""`labkit ui`: the Argo UI of a cluster that has one, forwarded to this machine.

A machine that was stopped stays off: looking at a failure drill does not end it.
"""

from __future__ import annotations

import threading
import webbrowser

from labkit import client, cluster
from labkit.errors import LabError

SERVER = ("argo-server", "argo")


def open(name: str = cluster.DEFAULT, *, browser: bool = True) -> None:
    """Forward the UI, open it in a browser, and stay until Ctrl-C. LabError where the cluster has none, or it can't be
    reached."""
    from kubernetes.client import ApiException

    found = cluster.status(name)
    if not cluster.answers(found):
        raise LabError(f"the cluster {name!r} is {found['state']}", f"labkit up --name {name} starts it")
    kubeconfig = cluster.use(name)
    service, namespace = SERVER
    if client.get("service", service, namespace=namespace) is None:
        raise LabError(
            "this cluster has no Argo UI",
            "labkit status --watch and the notebooks' live views show the same; labkit up --engine kind has the UI",
        )
    try:
        with client.forward(service, namespace=namespace) as address:
            _tell(address, kubeconfig)
            if browser:
                webbrowser.open(f"https://{address}/")
            threading.Event().wait()
    except ApiException as error:
        raise LabError(
            f"the Argo UI can't be reached: {error.status} {error.reason}",
            f"you need the right to list and forward pods: `kubectl auth can-i --list -n {namespace}` shows yours",
        ) from error


def _tell(address: str, kubeconfig: str) -> None:
    token = client.api().configuration.get_api_key_with_prefix("authorization")
    print(f"https://{address}/  (its certificate is the cluster's own: the browser asks)\n")
    if token:
        print(
            f"Its login wants this (the token of {kubeconfig}); whoever has it may what you may, so keep it:\n\n{token}\n"
        )
    else:
        print("Its login wants a token of yours, `Bearer ` before it: kubectl create token default makes one.\n")
    print("Ctrl-C ends it.", flush=True)
