"""Reads again the environment variables that modules read when they are imported, after the environment has changed.

The official client reads KUBECONFIG once, at its import. If that happens in a warm parent or before `cluster.use()`, its
default is another cluster: with a ~/.kube/config one that programs of this cluster must not write to.
"""

from __future__ import annotations

import contextlib
import os
import sys

USUAL = "~/.kube/config"
HOLDERS = ("kubernetes.config.kube_config", "kubernetes.config")  # each has a copy, which it reads at each call


def kubeconfig() -> None:
    """Make the official client, if it is imported, use the present KUBECONFIG, as if it were imported now."""
    for name in HOLDERS:
        if module := sys.modules.get(name):
            vars(module)["KUBE_CONFIG_DEFAULT_LOCATION"] = os.environ.get("KUBECONFIG", USUAL)


def backend() -> None:
    """Make matplotlib, if it is imported, use the present MPLBACKEND."""
    name = os.environ.get("MPLBACKEND")
    if name and "matplotlib" in sys.modules:
        with contextlib.suppress(ValueError):  # no such backend: matplotlib reports that when it draws
            sys.modules["matplotlib"].rcParams["backend"] = name
