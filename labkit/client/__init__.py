"""What notebooks and checks call: kubectl's verbs over the official clients, on whichever cluster KUBECONFIG names.

Nothing here asks which engine runs the cluster. Four calls hide what engines must do differently: `argo()`, `address()`,
`load()` and `kill()`.
"""

from labkit.client.argo import argo
from labkit.client.connection import api, namespace
from labkit.client.drill import kill
from labkit.client.forward import address, forward
from labkit.client.image_loading import load
from labkit.client.objects import apply, delete, documents, events, get, known, listing, logs, remove, stop, wait

__all__ = [
    "address",
    "api",
    "apply",
    "argo",
    "delete",
    "documents",
    "events",
    "forward",
    "get",
    "kill",
    "known",
    "listing",
    "load",
    "logs",
    "namespace",
    "remove",
    "stop",
    "wait",
]
