"""labkit's words for the embedded cluster: which commands its hints name, and which programs its pods find."""

from __future__ import annotations

import os

import labkit
from kubeproc import embedder

LABKIT = embedder.Embedder(
    up="labkit up",
    down="labkit down",
    purge="labkit down --purge",
    status="labkit status",
    another="labkit up --name OTHER",
    elsewhere="use `labkit up --engine kind`",
    metered="`labkit up --name real --engine kind` gives a cluster with a place for metrics-server",
    home="set LABKIT_HOME to a folder that you may write",
    image="docker.io/labkit/lab",
    folders=(os.path.dirname(labkit.__file__),),
    info={"engine": "embedded", "labkit": labkit.__version__},
)
embedder.use(LABKIT)  # in this process; the cluster's own processes read it from cluster.json
