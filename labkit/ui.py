"""`labkit ui`: the Argo UI of a cluster that has one, forwarded to this machine."""

from __future__ import annotations

import threading
import webbrowser

from labkit import client, cluster
from labkit.errors import LabError

SERVER = ("argo-server", "argo")


def open(name: str = cluster.DEFAULT, *, browser: bool = True) -> None:
    """Forward the UI, open it in a browser, and stay until Ctrl-C. LabError where the cluster has none."""
    if cluster.status(name)["state"] != "running":
        raise LabError(f"the cluster {name!r} does not run", f"labkit up --name {name}")
    kubeconfig = cluster.use(name)
    service, namespace = SERVER
    if client.get("service", service, namespace=namespace) is None:
        raise LabError(
            "this cluster has no Argo UI",
            "labkit status --watch and the notebooks' live views show the same; labkit up --engine kind has the UI",
        )
    with client.forward(service, namespace=namespace) as address:
        token = client.api().configuration.get_api_key_with_prefix("authorization")
        print(f"https://{address}/  (its certificate is the cluster's own: the browser asks)")
        print(
            f"\nIts login wants this (the token of {kubeconfig}); it is good for the whole cluster, so keep it:\n\n{token}\n"
        )
        print("Ctrl-C ends it.", flush=True)
        if browser:
            webbrowser.open(f"https://{address}/")
        threading.Event().wait()
