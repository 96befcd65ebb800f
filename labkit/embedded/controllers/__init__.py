"""All controllers of the embedded cluster, and how to run them: `loop.run(build(folder), store)`."""

from __future__ import annotations

from labkit.embedded.controllers import (
    aggregation,
    claims,
    deployment,
    endpoints,
    garbage,
    job,
    namespace,
    nodes,
    podgc,
    replicaset,
    retention,
    scheduler,
    tfjob,
)
from labkit.embedded.controllers.job import orphans
from labkit.embedded.controllers.loop import Controller
from labkit.paths import ClusterFolder


def build(folder: ClusterFolder | None = None) -> list[Controller]:
    """The controllers of the cluster in `folder`; without one, those that need its files leave them alone."""
    from labkit.embedded.argo import controller as workflow  # here, since it imports from this package

    return [
        workflow.CONTROLLER,
        namespace.controller(folder.ca if folder else None),
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
