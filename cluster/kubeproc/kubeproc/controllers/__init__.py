"""The controllers of Kubernetes' own kinds and of TFJobs, and how to run them: `loop.run(build(folder), store)`."""

from __future__ import annotations

from kubeproc.controllers import (
    aggregation,
    claims,
    deployment,
    endpoints,
    garbage,
    job,
    namespace_end,
    nodes,
    podgc,
    replicaset,
    retention,
    scheduler,
    tfjob,
)
from kubeproc.controllers.job import orphans
from kubeproc.controllers.loop import Controller
from kubeproc.folder import ClusterFolder


def build(folder: ClusterFolder | None = None) -> list[Controller]:
    """The controllers of the cluster in `folder`; without one, controllers that need its files skip them."""
    return [
        namespace_end.controller(folder.ca if folder else None),
        scheduler.CONTROLLER,
        endpoints.CONTROLLER,
        endpoints.ORPHANS,
        garbage.CONTROLLER,
        aggregation.CONTROLLER,
        claims.controller(folder.volumes if folder else None),
        replicaset.CONTROLLER,
        deployment.CONTROLLER,
        job.CONTROLLER,
        orphans.CONTROLLER,
        tfjob.CONTROLLER,
        nodes.controller(folder),
        podgc.controller(),
        *retention.CONTROLLERS,
    ]
