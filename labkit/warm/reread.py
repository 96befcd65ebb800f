"""What a module has read from the environment when it was imported, read again: the environment has changed since.

The official client looks at KUBECONFIG once, at its import. Where that was in a warm parent, or before `cluster.use()`,
its default would be another cluster, and where the user has a ~/.kube/config one that is nobody's to write to.
"""

from __future__ import annotations

import os
import sys

USUAL = "~/.kube/config"
HOLDERS = ("kubernetes.config.kube_config", "kubernetes.config")  # each has a copy, looked at when it is asked


def kubeconfig() -> None:
    """Let the official client, where it is imported, find what KUBECONFIG says now, as if it was imported now."""
    for name in HOLDERS:
        if module := sys.modules.get(name):
            vars(module)["KUBE_CONFIG_DEFAULT_LOCATION"] = os.environ.get("KUBECONFIG", USUAL)
