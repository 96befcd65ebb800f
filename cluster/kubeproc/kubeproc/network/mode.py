"""Whether the pods of a cluster have a network of their own, or share the host's: decided when the cluster is made."""

from __future__ import annotations

from kubeproc import info
from kubeproc.folder import ClusterFolder

PODS, SHARED = "pods", "shared"


OUTSIDE = (80, 443)  # the TCP ports of other networks that pods reach unless the cluster was made without


def outside(folder: ClusterFolder) -> tuple[int, ...]:
    """The TCP ports of other networks that the pods of this cluster reach."""
    return tuple(info.read(folder).get("outside", OUTSIDE))


def own(folder: ClusterFolder) -> bool:
    """Whether each pod of this cluster has a network of its own."""
    return info.read(folder).get("network") == PODS
